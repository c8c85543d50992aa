"""A process that decides: for every tenant, by what is live at the moment."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from core.artifacts import ArtifactStore
from core.clock import Clock
from core.contracts import PERSON, Decision, Request
from core.embedding import TextEmbedder
from core.settings import Settings
from core.spec import DecisionSpec
from core.store import Claim, Store
from router.entity_facts import Joined, admitted, escalated, ids_of, join
from router.language import LanguageDetector
from router.live import Live, LiveDecisions, OpenDoor, Readiness
from router.rungs import Models


class Runtime:
    """Decides for every tenant of this process; holds no state that the store does not."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        artifacts: ArtifactStore,
        embedder: Callable[[], TextEmbedder],
        door: OpenDoor,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.store = store
        self.artifacts = artifacts
        self._clock = clock
        self._models = Models()
        self._decisions = LiveDecisions(
            store=store,
            artifacts=artifacts,
            embedder=embedder,
            door=door,
            models=self._models,
            languages=LanguageDetector(),
            clock=clock,
        )

    def names(self, tenant_id: str) -> list[str]:
        return list(self.store.decision_names(tenant_id))

    async def spec(self, tenant_id: str, name: str, release: str | None = None) -> DecisionSpec:
        """Of the live release, or of an earlier one, also where its models or indexes do not load:
        what is written of a decision, as the documents that an index is to be built from, must not
        wait for those."""
        if release is not None:
            return await asyncio.to_thread(self._decisions.spec_of, tenant_id, release)
        return await asyncio.to_thread(self._decisions.spec, tenant_id, name)

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
        """What answers now; see `LiveDecisions.get`."""
        return await self._decisions.get(tenant_id, name)

    async def warm(self) -> None:
        await self._decisions.warm()

    def ready(self) -> Readiness:
        return self._decisions.ready()

    async def renewed(self) -> None:
        """Returns when nothing newer is being loaded."""
        await self._decisions.renewed()

    async def close(self) -> None:
        await self._decisions.close()
