"""The only composition root: a release becomes a ladder, and a process a service."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from uuid import uuid4

from core import feature_schema
from core.artifacts import ArtifactStore, under
from core.clock import Clock
from core.contracts import PERSON, Decision, Request
from core.embedding import TextEmbedder
from core.errors import CorruptArtifact, NotFound, RungError, Unavailable
from core.settings import Settings
from core.spec import DecisionSpec, parse_spec
from core.store import Claim, Store
from core.store.indexes import IndexRow
from llm.door import LanguageDoor
from llm.prompting import TASKS as PROMPT_TASKS
from llm.prompting import Prompts
from rankers.corpora import load_index
from rankers.index import HybridIndex
from rankers.retriever import Retriever
from router.entity_facts import Joined, admitted, escalated, ids_of, join
from router.intent import IntentModel
from router.ladder import Ladder, Rung
from router.language import UNDETERMINED, LanguageDetector
from router.policy import CostPolicy
from router.reading import Reader
from router.risk import RiskModel
from router.rungs import ClassicalRung, LanguageRung, Models, RetrievalRung, RulesRung
from router.searched import Searched, hiding, searched_now
from router.support import SupportModel
from rules.ruleset import RulesEngine

LOG = logging.getLogger("rung.runtime")
RELEASE = "release"
COVERED = frozenset({"en", UNDETERMINED})  # what the default embedder was trained on
LOOK_AGAIN_S = 1.0  # how long a process may go on with a release that is no longer the live one


@dataclass(frozen=True, kw_only=True)
class LadderParts:
    """All that lab fits for one decision, and the two files that its owner wrote."""

    decision_yaml: str
    rules_yaml: str
    spec: DecisionSpec
    rules: RulesEngine
    intents: IntentModel | None  # None where no text is decided on
    risk: RiskModel | None
    prompts: Prompts
    retrievers: Mapping[str, Retriever]  # by corpus
    support: SupportModel
    policy: CostPolicy

    def to_files(self) -> dict[str, bytes]:
        """Without the indexes, which advance under a release."""
        files = {
            "decision.yaml": self.decision_yaml.encode(),
            "rules.yaml": self.rules_yaml.encode(),
            "policy.json": json.dumps(self.policy.to_json(), sort_keys=True).encode(),
            feature_schema.FILE: feature_schema.to_bytes(feature_schema.schema_of(self.spec)),
        }
        files |= {
            f"prompts/{task}.md": text.encode() for task, text in asdict(self.prompts).items()
        }
        parts = {"support": self.support.to_files()}
        if self.intents:
            parts["intent"] = self.intents.to_files()
        if self.risk:
            parts["risk"] = self.risk.to_files()
        for corpus, retriever in self.retrievers.items():
            parts[f"retriever/{corpus}"] = retriever.to_files()
        for folder, content in parts.items():
            files |= {f"{folder}/{name}": data for name, data in content.items()}
        return files

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, bytes],
        indexes: Mapping[str, HybridIndex],
        embedder: TextEmbedder | None,
    ) -> "LadderParts":
        """Digests are verified before; raises InvalidDocument where parts do not fit.

        Raises CorruptArtifact where its features mean another thing than this code computes. A
        decision without a text needs no embedder.
        """
        decision_yaml = files["decision.yaml"].decode()
        rules_yaml = files["rules.yaml"].decode()
        spec = parse_spec(decision_yaml)
        feature_schema.refuse_other(files.get(feature_schema.FILE), spec)
        return cls(
            decision_yaml=decision_yaml,
            rules_yaml=rules_yaml,
            spec=spec,
            rules=RulesEngine.from_text(rules_yaml),
            intents=IntentModel.from_files(under(files, "intent"), embedder) if embedder else None,
            risk=RiskModel.from_files(under(files, "risk")) if spec.risk else None,
            prompts=Prompts(
                **{task: files[f"prompts/{task}.md"].decode() for task in PROMPT_TASKS}
            ),
            retrievers={
                corpus: Retriever.from_files(
                    under(files, f"retriever/{corpus}"), index=indexes[corpus], embedder=embedder
                )
                for corpus in spec.corpora
                if embedder
            },
            support=SupportModel.from_files(under(files, "support")),
            policy=CostPolicy.from_json(json.loads(files["policy.json"]), spec.costs),
        )


def build_ladder(
    parts: LadderParts, *, release: str, door: LanguageDoor, models: Models, clock: Clock
) -> Ladder:
    spec = parts.spec
    version = release[:12]
    every: dict[str, Rung] = {
        "rules": RulesRung(parts.rules),
        "classical": ClassicalRung(
            spec=spec,
            intents=parts.intents,
            risk=parts.risk,
            covered=COVERED,
            version=version,
            models=models,
        ),
        "retrieval": RetrievalRung(
            spec=spec, retrievers=parts.retrievers, version=version, models=models
        ),
        "llm": LanguageRung(spec=spec, door=door, support=parts.support, version=version),
    }
    return Ladder(
        name=spec.name,
        release=release,
        read=Reader(spec, LanguageDetector()).read,
        rungs={name: rung for name, rung in every.items() if name in spec.ladder},
        order=spec.ladder,
        handlers={name: handler.ladder for name, handler in spec.handlers.items()},
        policy=parts.policy,
        deadline_ms=spec.budgets.deadline_ms,
        clock=clock,
    )


@dataclass(frozen=True, kw_only=True)
class Live:
    """What answers for one decision at present; replaced whole, so that a request under way ends
    on what it began with."""

    release: str
    searched: Searched
    parts: LadderParts
    ladder: Ladder
    door: LanguageDoor
    seen_at: float  # monotonic seconds

    @property
    def spec(self) -> DecisionSpec:
        return self.parts.spec

    @property
    def written(self) -> tuple[str, str]:
        """decision.yaml and rules.yaml, as they were trained."""
        return self.parts.decision_yaml, self.parts.rules_yaml


class Runtime:
    """Decides for every tenant of this process; holds no state that the store does not."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        artifacts: ArtifactStore,
        embedder: Callable[[], TextEmbedder],
        door: Callable[[LadderParts, TextEmbedder | None], LanguageDoor],
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.store = store
        self.artifacts = artifacts
        self._open_embedder = embedder
        self._open_door = door
        self._clock = clock
        self._embedder: TextEmbedder | None = None
        self._models = Models()
        self._live: dict[tuple[str, str], Live] = {}
        self._specs: dict[tuple[str, str], tuple[str, DecisionSpec]] = {}  # with its release
        self._broken: set[tuple[str, str]] = set()  # whose newest release or index does not load
        self._loading: dict[tuple[str, str], asyncio.Lock] = {}

    def names(self, tenant_id: str) -> list[str]:
        return list(self.store.decision_names(tenant_id))

    async def spec(self, tenant_id: str, name: str) -> DecisionSpec:
        """Of the live release, also where its models or indexes do not load: what is written of a
        decision, as the documents that an index is to be built from, must not wait for those."""
        return await asyncio.to_thread(self._written_spec, tenant_id, name)

    async def decide(
        self, tenant_id: str, name: str, facts: object, *, idempotency: Claim | None = None
    ) -> Decision:
        """Decides and stores, in one transaction with the review item where a person is asked.

        Raises NotFound for an unknown decision, InvalidFacts for facts outside its schema, and
        Overloaded where too many wait.
        """
        live = await self.live(tenant_id, name)
        request = self.request(live.spec, tenant_id, facts)
        self._models.refuse_overload(live.spec.budgets.deadline_ms / 1000)
        ladder = live.ladder
        if live.spec.entities:
            joined = await asyncio.to_thread(self.joined, live.spec, request, facts)
            request = joined.request
            ladder = escalated(ladder, joined.why_person) if joined.why_person else ladder
        decision = await ladder.decide(request)
        await asyncio.to_thread(
            self.store.record_decision,
            decision,
            request.facts,
            review=decision.rung == PERSON,
            idempotency=idempotency,
        )
        return decision

    async def model_reads(self, tenant_id: str, name: str, facts: object) -> str | None:
        """The digest of what the model would be asked about these facts; None where a rule or a
        stale feed decides before it. Nothing is decided. Raises InvalidFacts and NotFound."""
        live = await self.live(tenant_id, name)
        request = self.request(live.spec, tenant_id, facts)
        if live.spec.entities:
            joined = await asyncio.to_thread(self.joined, live.spec, request, facts)
            if joined.why_person:
                return None
            request = joined.request
        known = live.ladder.read(request)
        if "rules" in live.ladder.rungs:
            said = await live.ladder.ask("rules", request, known, live.ladder.deadline_ms / 1000)
            if said.escalate or not said.abstained:
                return None
        return known.features_digest

    def request(self, spec: DecisionSpec, tenant_id: str, facts: object) -> Request:
        """Validated, redacted, and with a pseudonym in place of each entity."""
        return Request(
            id=str(uuid4()),
            tenant_id=tenant_id,
            decision=spec.name,
            facts=admitted(spec, facts, self.settings.secret, tenant_id),
            received_at=self._clock.now(),
        )

    def joined(self, spec: DecisionSpec, request: Request, facts: object) -> Joined:
        """With the features of its entities; `facts` as they were sent. Asks the store."""
        return join(spec, request, ids_of(spec, facts), self.store)

    async def live(self, tenant_id: str, name: str) -> Live:
        """The live release, loaded once and looked up again every second."""
        key = (tenant_id, name)
        live = self._live.get(key)
        if live and time.monotonic() - live.seen_at < LOOK_AGAIN_S:
            return live
        lock = self._loading.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                live = self._live.get(key)
                if live is None or time.monotonic() - live.seen_at >= LOOK_AGAIN_S:
                    live = await asyncio.to_thread(self._newest, tenant_id, name, live)
                    self._live[key] = live
        except NotFound:
            self._loading.pop(key, None)  # else every name that a caller invents would stay
            raise
        return live

    async def warm(self) -> None:
        """Loads every decision and its language door; a broken one is told by `ready`."""
        for tenant_id, name in await asyncio.to_thread(self.store.live_decisions):
            try:
                live = await self.live(tenant_id, name)
                await live.door.warm_up()
            except RungError as error:
                LOG.error("decision %s of %s does not load: %s", name, tenant_id, error)

    def ready(self) -> dict[str, bool]:
        """Whether the store answers, and whether each live decision is loaded as it is newest."""
        try:
            wanted = self.store.live_decisions()
        except RungError:
            return {"store": False}
        loaded = self._live.keys() - self._broken
        return {"store": True} | {name: (tenant, name) in loaded for tenant, name in wanted}

    async def close(self) -> None:
        """Lets the language doors settle what they still owe."""
        for live in self._live.values():
            await live.door.aclose()

    def _written_spec(self, tenant_id: str, name: str) -> DecisionSpec:
        key, release = (tenant_id, name), self.store.live_release(tenant_id, name)
        if release is None:
            self._specs.pop(key, None)
            raise self._unknown(tenant_id, name)
        known = self._specs.get(key)
        if known is None or known[0] != release:
            try:
                files = self.artifacts.get(tenant_id, release, RELEASE).files
            except NotFound as error:  # the decision is there; it is its files that are not
                raise Unavailable(error.code, error.message, way_out=error.way_out) from error
            known = release, parse_spec(files["decision.yaml"].decode())
            self._specs[key] = known
        return known[1]

    def _newest(self, tenant_id: str, name: str, before: Live | None) -> Live:
        """What is live now; what was live before, where the new one does not load."""
        key = (tenant_id, name)
        try:
            live = self._look(tenant_id, name, before)
        except NotFound:
            raise  # withdrawn, or never there
        except RungError as error:
            if before is None:
                raise
            LOG.error("decision %s of %s keeps its old release: %s", name, tenant_id, error)
            self._broken.add(key)
            return self._kept(tenant_id, before)
        self._broken.discard(key)
        return live

    def _look(self, tenant_id: str, name: str, before: Live | None) -> Live:
        release = self.store.live_release(tenant_id, name)
        if release is None:
            self._live.pop((tenant_id, name), None)
            raise self._unknown(tenant_id, name)
        try:
            if before is not None and before.release == release:
                return self._advanced(tenant_id, before, self._searched(tenant_id, before.spec))
            return self._loaded(tenant_id, release)
        except NotFound as error:  # the decision is there; it is its files that are not
            raise Unavailable(error.code, error.message, way_out=error.way_out) from error

    def _advanced(self, tenant_id: str, before: Live, searched: Searched) -> Live:
        """The same release over what is searched now; only an index that is new is loaded."""
        parts, now = before.parts, time.monotonic()
        if searched == before.searched:
            return replace(before, seen_at=now)
        retrievers = {}
        for corpus, retriever in parts.retrievers.items():
            row, index = searched.indexes[corpus], retriever.index
            if row.artifact_id != before.searched.indexes[corpus].artifact_id:
                index = self._index(tenant_id, row, index.fingerprint)
            retrievers[corpus] = retriever.over(index, searched.hidden[corpus])
        parts = replace(parts, retrievers=retrievers)
        ladder = self._ladder(parts, before.release, before.door)
        return replace(before, parts=parts, ladder=ladder, searched=searched, seen_at=now)

    def _kept(self, tenant_id: str, before: Live) -> Live:
        """What was live, without what has been deleted since: that goes although nothing loads."""
        try:
            searched = hiding(self.store, tenant_id, before.spec.name, before.searched.indexes)
            return self._advanced(tenant_id, before, searched)
        except RungError:
            return replace(before, seen_at=time.monotonic())

    def _loaded(self, tenant_id: str, release: str) -> Live:
        now = time.monotonic()
        files = self.artifacts.get(tenant_id, release, RELEASE).files
        spec = parse_spec(files["decision.yaml"].decode())
        embedder = self._embedder_of(spec)
        searched = self._searched(tenant_id, spec)
        indexes = {
            corpus: self._index(tenant_id, row, embedder.fingerprint)
            for corpus, row in searched.indexes.items()
            if embedder
        }
        try:
            parts = LadderParts.from_files(files, indexes, embedder)
        except (KeyError, ValueError, TypeError) as error:
            raise CorruptArtifact(
                "RUNG-RELEASE-FORMAT",
                f"release {release[:12]} is of a form that this Rung does not read",
                way_out="Train the decision again, or run the Rung that trained it.",
            ) from error
        retrievers = {
            corpus: retriever.over(retriever.index, searched.hidden[corpus])
            for corpus, retriever in parts.retrievers.items()
        }
        parts = replace(parts, retrievers=retrievers)
        door = self._open_door(parts, embedder)
        ladder = self._ladder(parts, release, door)
        return Live(
            release=release, searched=searched, parts=parts, ladder=ladder, door=door, seen_at=now
        )

    def _searched(self, tenant_id: str, spec: DecisionSpec) -> Searched:
        embedder = self._embedder_of(spec)
        fingerprint = embedder.fingerprint if embedder else None
        return searched_now(self.store, tenant_id, spec, fingerprint)

    def _index(self, tenant_id: str, row: IndexRow, fingerprint: str) -> HybridIndex:
        return load_index(self.artifacts, tenant_id, row.artifact_id, fingerprint=fingerprint)

    def _ladder(self, parts: LadderParts, release: str, door: LanguageDoor) -> Ladder:
        return build_ladder(
            parts, release=release, door=door, models=self._models, clock=self._clock
        )

    def _embedder_of(self, spec: DecisionSpec) -> TextEmbedder | None:
        """Loading it takes seconds, and without a text there is nothing to embed."""
        if not spec.by_text:
            return None
        self._embedder = self._embedder or self._open_embedder()
        return self._embedder

    def _unknown(self, tenant_id: str, name: str) -> NotFound:
        names = ", ".join(self.store.decision_names(tenant_id)) or "none"
        return NotFound(
            "RUNG-DECISION-UNKNOWN",
            f"there is no decision '{name}' of tenant '{tenant_id}'",
            way_out=f"Train it with `rung train`. Live: {names}.",
        )
