"""A process that serves meets new indexes and deletions while it goes on answering."""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import Artifact, ArtifactStore
from core.contracts import Decision
from core.errors import Unavailable
from core.spec import parse_spec
from core.store import Store
from lab.fit_intent import fit_intent
from lab.tables import LabelledTexts
from llm import ExtractiveDoor, Prompts
from rankers.quality import QualityHead, QualityScorer
from rankers.ranker import HybridRanker
from rankers.retriever import Retriever
from router.language import LanguageDetector
from router.live import LOOK_AGAIN_S, QUIET_LOOK_S, LiveDecisions, Readiness
from router.parts import RELEASE, LadderParts
from router.policy import CostPolicy
from router.rungs import Models
from router.runtime import Runtime
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock
from tests.fakes.corpus_world import WHICH, CorpusWorld, undisturbed
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import SECRET, SPEC, settings_for
from workers.catch_up import catch_up

RULES = """
version: "1"
hit_policy: first
rules:
  - {id: large, when: {field: amount, gt: 9000}, outcome: block, reason: it is large}
"""
# A machine that is busy must not turn a swap into a person's work.
PATIENT = SPEC.replace("deadline_ms: 2000", "deadline_ms: 60000")
CORPUS = {
    "arrival": "A transfer arrives on the next working day.",
    "post": "A card arrives by post within a week.",
    "fees": "A transfer abroad has a fee of one percent.",
}
QUESTION = {"message": "when does my transfer arrive?"}


class SlowArtifacts(ArtifactStore):
    """Its files take until the test lets them go."""

    def __init__(self, root: Path, key: bytes) -> None:
        super().__init__(root, key)
        self._free = threading.Event()
        self._free.set()

    def get(
        self, tenant_id: str, artifact_id: str, kind: str, *, only: Collection[str] | None = None
    ) -> Artifact:
        assert self._free.wait(60)
        return super().get(tenant_id, artifact_id, kind, only=only)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()


class CountedDoor(ExtractiveDoor):
    warmed = closed = 0

    async def warm_up(self) -> None:
        self.warmed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Serving:
    """The decision `support` over the corpus of a world, whose jobs the test runs."""

    releases = 0

    def __init__(self, folder: Path) -> None:
        self.clock = FixedClock()
        settings = settings_for(folder)
        self.store = Store.open(settings.database_url, self.clock, secret=SECRET)
        self.world = CorpusWorld(self.store, self.clock, folder)
        self.world.put(CORPUS)
        self.world.run()
        self.release("support")
        self.doors: list[CountedDoor] = []

        def door(parts: LadderParts, embedder: Any) -> ExtractiveDoor:
            self.doors.append(CountedDoor())
            return self.doors[-1]

        self.artifacts = SlowArtifacts(folder / "artifacts", b"key")
        self.runtime = Runtime(
            settings=settings,
            store=self.store,
            artifacts=self.artifacts,
            embedder=HashingEmbedder,
            door=door,
            clock=self.clock,
        )

    def release(self, name: str, embedder: HashingEmbedder | None = None) -> str:
        """Of another content each time."""
        self.releases += 1
        files = parts(embedder or HashingEmbedder()).to_files()
        files["rules.yaml"] += f"# {self.releases}\n".encode()
        made = self.world.artifacts.put("acme", RELEASE, files)
        self.store.register_release("acme", name, made)
        return made

    async def ask(self) -> tuple[tuple[str, ...], Any]:
        """The documents that retrieval found, and the index that it names in the trace."""
        return seen(await self.runtime.decide("acme", "support", QUESTION))


def seen(decision: Decision) -> tuple[tuple[str, ...], Any]:
    (verdict,) = (s.verdict for s in decision.steps if s.verdict.rung == "retrieval")
    return tuple(one.document for one in verdict.evidence), verdict.details.get("index")


def parts(embedder: HashingEmbedder) -> LadderParts:
    spec = parse_spec(PATIENT)
    texts = [f"when does {thing} arrive {n}" for thing in ("it", "money") for n in range(15)]
    stolen = [f"{thing} was stolen {n}" for thing in ("card", "phone") for n in range(15)]
    rows = LabelledTexts(
        texts=[*texts, *stolen], labels=["arrival"] * len(texts) + ["fraud"] * len(stolen)
    )
    index = undisturbed(CORPUS, embedder)
    return LadderParts(
        decision_yaml=PATIENT,
        rules_yaml=RULES,
        spec=spec,
        rules=RulesEngine.from_text(RULES),
        intents=fit_intent(rows, embedder),
        risk=None,
        prompts=Prompts.load(),
        retrievers={
            "corpus": Retriever(
                index=index,
                embedder=embedder,
                ranker=HybridRanker(),
                quality=QualityScorer(
                    first=QualityHead.constant(0.9), cited=QualityHead.constant(0.9)
                ),
            )
        },
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    yield made
    made.store.close()


class CountedLanguages:
    """Which threads loaded a model of languages."""

    def __init__(self) -> None:
        self.loaded_in: list[threading.Thread] = []

    def __call__(self) -> "CountedLanguages":
        self.loaded_in.append(threading.current_thread())
        return self

    def classify(self, text: str) -> tuple[str, float]:
        return "en", 1.0


def run(talk: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(talk())


async def a_look(serving: Serving) -> None:
    """As long as a process may go on with what is not the newest, and what loads for it."""
    await asyncio.sleep(LOOK_AGAIN_S + 0.05)
    await serving.runtime.live("acme", "support")
    await serving.runtime.renewed()


def test_what_is_written_of_an_earlier_release_can_be_asked_for(serving: Serving) -> None:
    async def talk() -> None:
        before = str(serving.store.live_release("acme", "support"))
        files = parts(HashingEmbedder()).to_files()
        files["decision.yaml"] = files["decision.yaml"].replace(b"block", b"hold")
        serving.store.register_release(
            "acme", "support", serving.world.artifacts.put("acme", RELEASE, files)
        )
        live = await serving.runtime.spec("acme", "support")
        then = await serving.runtime.spec("acme", "support", before)
        assert (list(live.outcomes), list(then.outcomes)) == (["hold"], ["block"])
        with pytest.raises(Unavailable):
            await serving.runtime.spec("acme", "support", "0" * 64)

    run(talk)


def test_a_new_index_is_swapped_in_and_named_in_the_trace(serving: Serving) -> None:
    async def talk() -> None:
        before = undisturbed(CORPUS)
        found, index = await serving.ask()
        assert "arrival" in found and index == before.identity[:12]
        serving.world.put({"soon": "When a transfer arrives: a transfer arrives at once."})
        await a_look(serving)
        assert await serving.ask() == (found, index)  # not yet embedded
        serving.world.run()
        await a_look(serving)
        found, index = await serving.ask()
        assert "soon" in found
        assert index == serving.world.index().identity[:12] != before.identity[:12]
        assert len(serving.doors) == 1  # the release was not loaded again for it

    run(talk)


def test_languages_are_loaded_once_beside_the_event_loop(serving: Serving) -> None:
    languages = CountedLanguages()
    decisions = LiveDecisions(
        store=serving.store,
        artifacts=serving.artifacts,
        embedder=HashingEmbedder,
        door=lambda parts, embedder: CountedDoor(),
        models=Models(),
        languages=LanguageDetector(languages),
        clock=serving.clock,
    )

    async def talk() -> None:
        await decisions.warm()
        (thread,) = languages.loaded_in
        assert thread is not threading.current_thread()
        first = await decisions.get("acme", "support")
        request = serving.runtime.request(first.spec, "acme", QUESTION)
        assert (await first.ladder.decide(request)).language == "en"
        serving.world.delete("arrival")
        await asyncio.sleep(LOOK_AGAIN_S + 0.05)
        second = await decisions.get("acme", "support")
        assert second.ladder is not first.ladder
        assert (await second.ladder.decide(request)).language == "en"
        assert languages.loaded_in == [thread]
        await decisions.close()

    run(talk)


def test_a_request_under_way_ends_on_what_it_began_with(serving: Serving) -> None:
    async def talk() -> None:
        old = await serving.runtime.live("acme", "support")
        serving.world.put({"soon": "a transfer arrives at once"})
        serving.world.run()
        await a_look(serving)
        new = await serving.runtime.live("acme", "support")
        assert new.parts.intents is old.parts.intents
        request = serving.runtime.request(old.spec, "acme", QUESTION)
        found, first = seen(await old.ladder.decide(request))
        _, second = seen(await new.ladder.decide(request))
        assert "soon" not in found
        assert first == undisturbed(CORPUS).identity[:12] != second

    run(talk)


def test_nobody_waits_for_an_index_that_loads(serving: Serving) -> None:
    """What was live answers meanwhile, and at once without what is deleted meanwhile."""

    async def talk() -> None:
        before = await serving.ask()
        with serving.artifacts.held():
            serving.world.put({"soon": "a transfer arrives at once"})
            serving.world.run()
            await asyncio.sleep(LOOK_AGAIN_S + 0.05)
            assert await serving.ask() == before
            serving.world.delete("arrival")
            await asyncio.sleep(LOOK_AGAIN_S + 0.05)
            found, index = await serving.ask()
            assert index == before[1] and found and "arrival" not in found
        await serving.runtime.renewed()
        found, index = await serving.ask()
        assert "soon" in found and "arrival" not in found and index != before[1]

    run(talk)


def test_what_is_deleted_is_gone_though_no_worker_runs(serving: Serving) -> None:
    async def talk() -> None:
        assert "arrival" in (await serving.ask())[0]
        serving.world.delete("arrival")
        await a_look(serving)
        found, index = await serving.ask()
        assert set(found) == {"post", "fees"}
        assert index == undisturbed(CORPUS).identity[:12]  # of before: the rest is hidden
        serving.world.delete("post", "fees")
        await a_look(serving)
        assert (await serving.ask())[0] == ()
        serving.world.put({"arrival": "A transfer arrives on the day after."})
        await a_look(serving)
        assert (await serving.ask())[0] == ()  # what it said before stays gone
        serving.world.run()
        await a_look(serving)
        found, index = await serving.ask()
        assert found == ("arrival",)
        assert index == serving.world.index().identity[:12]

    run(talk)


def test_hidden_documents_leave_what_an_index_without_them_would_find() -> None:
    """However many are hidden, they crowd nothing out."""
    many = {f"d{n:03d}": f"a transfer arrives {n}" for n in range(300)} | CORPUS
    gone = frozenset(name for name in many if name.startswith("d"))
    retriever = parts(HashingEmbedder()).retrievers["corpus"]
    hiding = retriever.over(undisturbed(many), gone)
    assert len(hiding.retrieve("transfer arrives", 5).passages) == 3
    assert {p.document for p in hiding.retrieve("transfer arrives", 5).passages} == set(CORPUS)


def test_an_index_that_does_not_load_is_not_swapped_in_and_deletions_still_count(
    serving: Serving, tmp_path: Path
) -> None:
    async def talk() -> None:
        found, before = await serving.ask()
        serving.world.put({"soon": "a transfer arrives at once"})
        serving.world.run()
        row = serving.world.row()
        assert row is not None
        manifest = tmp_path / "artifacts" / "acme" / "manifests" / f"{row.artifact_id}.json"
        manifest.write_text(manifest.read_text().replace("index", "indey"))
        serving.world.delete("arrival")
        await a_look(serving)
        found, index = await serving.ask()
        assert index == before and "arrival" not in found and found
        # It answers, so no balancer may take it out.
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=False)

    run(talk)


def test_another_embedders_index_is_nothing_to_this_process(serving: Serving) -> None:
    async def talk() -> None:
        answered = await serving.ask()
        other = HashingEmbedder(salt="other ")
        catch_up(serving.store, serving.artifacts, WHICH, other.fingerprint)
        serving.world.run(serving.world.runner_of(lambda: other))
        assert serving.world.row(other.fingerprint) is not None
        await a_look(serving)
        assert await serving.ask() == answered

    run(talk)


def test_a_release_is_loaded_aside_and_the_door_before_it_closed_in_the_end(
    serving: Serving,
) -> None:
    async def talk() -> None:
        await serving.runtime.warm()
        before = await serving.runtime.live("acme", "support")
        release = serving.release("support")
        await a_look(serving)
        assert before.release != release
        assert (await serving.runtime.live("acme", "support")).release == release
        await serving.runtime.warm()
        assert [door.warmed for door in serving.doors] == [1, 1]
        assert [door.closed for door in serving.doors] == [0, 0]  # a request may be in the first
        await serving.runtime.close()
        assert [door.closed for door in serving.doors] == [1, 1]

    run(talk)


def test_what_comes_later_does_not_take_a_server_out(serving: Serving) -> None:
    """Neither a decision that is not loaded yet, nor a release that this process cannot load."""

    async def talk() -> None:
        assert not serving.runtime.ready().loaded
        await serving.runtime.warm()
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=True)
        serving.store.register_release("acme", "other", "0" * 64)
        await serving.runtime.warm()
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=False)
        serving.release("other")
        await asyncio.sleep(2)  # the pause after a failure
        await serving.runtime.warm()
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=True)
        answered = await serving.ask()
        serving.release("support", HashingEmbedder(salt="other "))
        await a_look(serving)
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=False)
        assert await serving.ask() == answered
        serving.release("support")
        await asyncio.sleep(2)  # the pause after a failure
        await a_look(serving)
        assert serving.runtime.ready() == Readiness(store=True, loaded=True, newest=True)

    run(talk)


def test_a_new_release_is_found_though_no_request_comes(serving: Serving) -> None:
    async def talk() -> None:
        await serving.runtime.warm()
        release = serving.release("support")
        await asyncio.sleep(QUIET_LOOK_S)
        await serving.runtime.warm()
        await serving.runtime.renewed()
        assert (await serving.runtime.live("acme", "support")).release == release

    run(talk)
