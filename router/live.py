"""What answers at present: each decision's release over its indexes, and what is newer, swapped in.

Whatever is newer is loaded aside by one thread, while what was live goes on answering. Only what is
deleted does not wait for that: it is hidden at the next look.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from core.artifacts import ArtifactStore
from core.clock import Clock
from core.embedding import TextEmbedder
from core.errors import CorruptArtifact, NotFound, RungError, Unavailable
from core.spec import DecisionSpec, parse_spec
from core.store import Store
from core.store.indexes import IndexRow
from llm.door import LanguageDoor
from rankers.corpora import load_index
from rankers.index import HybridIndex
from router.ladder import Ladder
from router.parts import RELEASE, LadderParts, build_ladder
from router.rungs import Models
from router.searched import Searched, hiding, searched_now

LOG = logging.getLogger("rung.live")
LOOK_AGAIN_S = 1.0  # how long a process may go on without looking whether there is something newer
Key = tuple[str, str]  # tenant and decision
OpenDoor = Callable[[LadderParts, TextEmbedder | None], LanguageDoor]


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

    @property
    def is_recent(self) -> bool:
        return time.monotonic() - self.seen_at < LOOK_AGAIN_S


class LiveDecisions:
    """Of every tenant of this process; holds no state that the store does not."""

    def __init__(
        self,
        *,
        store: Store,
        artifacts: ArtifactStore,
        embedder: Callable[[], TextEmbedder],
        door: OpenDoor,
        models: Models,
        clock: Clock,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._open_embedder = embedder
        self._open_door = door
        self._models = models
        self._clock = clock
        self._embedder: TextEmbedder | None = None
        self._opening = threading.Lock()
        self._held: dict[Key, Live] = {}
        self._renewing: dict[Key, Future[None]] = {}
        self._guard = threading.Lock()  # of the two above, which the renewing thread changes too
        self._broken: set[Key] = set()  # whose newest release or index does not load
        self._retired: list[LanguageDoor] = []
        self._specs: dict[Key, tuple[str, DecisionSpec]] = {}  # with its release
        self._looking: dict[Key, asyncio.Lock] = {}
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rung loads")

    async def get(self, tenant_id: str, name: str) -> Live:
        """What is live, as looked up in the last second. Only the first load is waited for.

        Raises NotFound for an unknown decision, Unavailable and CorruptArtifact for one that has
        never loaded here.
        """
        key = (tenant_id, name)
        held = self._held.get(key)
        if held and held.is_recent:
            return held
        lock = self._looking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                held = self._held.get(key)
                if held is None:
                    return await asyncio.to_thread(self._first, key)
                return held if held.is_recent else await asyncio.to_thread(self._look, key, held)
        except NotFound:
            self._looking.pop(key, None)  # else every name that a caller invents would stay
            raise

    def spec(self, tenant_id: str, name: str) -> DecisionSpec:
        """Of the live release, also where its models or indexes do not load. Asks the store."""
        key = (tenant_id, name)
        try:
            release = self._live_release(key)
        except NotFound:
            self._specs.pop(key, None)
            raise
        known = self._specs.get(key)
        if known is None or known[0] != release:
            with _told_as_unavailable():
                files = self._artifacts.get(tenant_id, release, RELEASE).files
            known = release, parse_spec(files["decision.yaml"].decode())
            self._specs[key] = known
        return known[1]

    async def warm(self) -> None:
        """Loads every decision and its language door; a broken one is told by `ready`."""
        for tenant_id, name in await asyncio.to_thread(self._store.live_decisions):
            try:
                live = await self.get(tenant_id, name)
                await live.door.warm_up()
            except RungError as error:
                LOG.error("decision %s of %s does not load: %s", name, tenant_id, error)

    def ready(self) -> dict[str, bool]:
        """Whether the store answers, and whether each live decision is loaded as it is newest."""
        try:
            wanted = self._store.live_decisions()
        except RungError:
            return {"store": False}
        loaded = self._held.keys() - self._broken
        return {"store": True} | {name: (tenant, name) in loaded for tenant, name in wanted}

    async def renewed(self) -> None:
        """Returns when nothing is being loaded aside."""
        while renewing := list(self._renewing.values()):
            await asyncio.gather(*map(asyncio.wrap_future, renewing))

    async def close(self) -> None:
        """Lets the language doors settle what they still owe."""
        await asyncio.to_thread(self._loader.shutdown, cancel_futures=True)
        for door in (*self._retired, *(live.door for live in self._held.values())):
            await door.aclose()

    def _first(self, key: Key) -> Live:
        live = self._loaded(key, self._live_release(key))
        with self._guard:
            return self._held.setdefault(key, live)

    def _look(self, key: Key, held: Live) -> Live:
        """What was live, without what was deleted; what is newer begins to be loaded."""
        searched = None
        try:
            searched = self._at_hand(key, held)
            if searched is None:
                self._renew(key)
        except NotFound:
            raise
        except RungError as error:
            self._keeps_its_old(key, error)
        try:
            if searched is None:
                searched = hiding(self._store, key[0], held.spec.name, held.searched.indexes)
            live = self._over(held, searched, {})
        except RungError:  # the store does not answer; whoever decides will say so
            live = replace(held, seen_at=time.monotonic())
        with self._guard:
            if self._held.get(key) is held:
                self._held[key] = live
            return self._held.get(key, live)

    def _at_hand(self, key: Key, held: Live) -> Searched | None:
        """What is to be searched now; None where something must be loaded for it first."""
        if self._live_release(key) != held.release:
            return None
        searched = self._searched(key[0], held.spec)
        if _others(held.searched, searched):
            return None
        self._broken.discard(key)
        return searched

    def _renew(self, key: Key) -> None:
        with self._guard:
            if key in self._renewing:
                return
            self._renewing[key] = renewing = self._loader.submit(self._load_newest, key)
        renewing.add_done_callback(lambda _: self._renewing.pop(key, None))

    def _load_newest(self, key: Key) -> None:
        held = self._held.get(key)
        if held is None:
            return
        try:
            newest = self._newest(key, held)
        except RungError as error:
            self._keeps_its_old(key, error)
            return
        except Exception:
            LOG.exception("decision %s of %s keeps what it has", key[1], key[0])
            self._broken.add(key)
            return
        with self._guard:
            if key in self._held:  # else it was withdrawn meanwhile
                self._held[key] = newest
                if newest.door is not held.door:
                    self._retired.append(held.door)  # requests may be under way in it
        self._broken.discard(key)

    def _newest(self, key: Key, held: Live) -> Live:
        release = self._live_release(key)
        if release != held.release:
            newest = self._loaded(key, release)
        else:
            searched = self._searched(key[0], held.spec)
            found = {
                corpus: self._index(key[0], row, held.parts.retrievers[corpus].index.fingerprint)
                for corpus, row in _others(held.searched, searched).items()
            }
            newest = self._over(held, searched, found)
        # Loading takes a while, and what was deleted in it must not be found again.
        searched = hiding(self._store, key[0], newest.spec.name, newest.searched.indexes)
        return self._over(newest, searched, {})

    def _over(self, live: Live, searched: Searched, found: Mapping[str, HybridIndex]) -> Live:
        """The same release over what is searched now; `found` are the indexes that are new."""
        now = time.monotonic()
        if searched == live.searched:
            return replace(live, seen_at=now)
        retrievers = {
            corpus: one.over(found.get(corpus, one.index), searched.hidden[corpus])
            for corpus, one in live.parts.retrievers.items()
        }
        parts = replace(live.parts, retrievers=retrievers)
        ladder = self._ladder(parts, live.release, live.door)
        return replace(live, parts=parts, ladder=ladder, searched=searched, seen_at=now)

    def _loaded(self, key: Key, release: str) -> Live:
        tenant_id, now = key[0], time.monotonic()
        with _told_as_unavailable():
            files = self._artifacts.get(tenant_id, release, RELEASE).files
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

    def _live_release(self, key: Key) -> str:
        """Raises NotFound, and forgets what was live under that name."""
        tenant_id, name = key
        release = self._store.live_release(tenant_id, name)
        if release is not None:
            return release
        with self._guard:
            gone = self._held.pop(key, None)
        if gone is not None:
            self._retired.append(gone.door)
        names = ", ".join(self._store.decision_names(tenant_id)) or "none"
        raise NotFound(
            "RUNG-DECISION-UNKNOWN",
            f"there is no decision '{name}' of tenant '{tenant_id}'",
            way_out=f"Train it with `rung train`. Live: {names}.",
        )

    def _searched(self, tenant_id: str, spec: DecisionSpec) -> Searched:
        embedder = self._embedder_of(spec)
        fingerprint = embedder.fingerprint if embedder else None
        with _told_as_unavailable():
            return searched_now(self._store, tenant_id, spec, fingerprint)

    def _index(self, tenant_id: str, row: IndexRow, fingerprint: str) -> HybridIndex:
        return load_index(self._artifacts, tenant_id, row.artifact_id, fingerprint=fingerprint)

    def _ladder(self, parts: LadderParts, release: str, door: LanguageDoor) -> Ladder:
        return build_ladder(
            parts, release=release, door=door, models=self._models, clock=self._clock
        )

    def _embedder_of(self, spec: DecisionSpec) -> TextEmbedder | None:
        """Loading it takes seconds, and without a text there is nothing to embed."""
        if not spec.by_text:
            return None
        with self._opening:
            self._embedder = self._embedder or self._open_embedder()
            return self._embedder

    def _keeps_its_old(self, key: Key, error: RungError) -> None:
        LOG.error("decision %s of %s keeps what it has: %s", key[1], key[0], error)
        self._broken.add(key)


def _others(before: Searched, now: Searched) -> dict[str, IndexRow]:
    """By corpus, the indexes whose files are not those of before."""
    return {
        corpus: row
        for corpus, row in now.indexes.items()
        if row.artifact_id != before.indexes[corpus].artifact_id
    }


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """The decision is there; it is its files or its index that are not."""
    try:
        yield
    except NotFound as error:
        raise Unavailable(error.code, error.message, way_out=error.way_out) from error
