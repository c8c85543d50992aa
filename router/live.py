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
from core.errors import InvalidSettings, NotFound, RungError, Unavailable
from core.spec import DecisionSpec, parse_spec
from core.store import Store
from core.store.indexes import IndexRow
from core.store.releases import unknown_decision
from llm.door import LanguageDoor
from rankers.corpora import load_index
from rankers.index import HybridIndex
from router.ladder import Ladder
from router.language import LanguageDetector
from router.parts import RELEASE, LadderParts, build_ladder
from router.rungs import Models
from router.searched import Searched, hiding, searched_now

LOG = logging.getLogger("rung.live")
LOOK_AGAIN_S = 1.0  # how long requests may go on without a look whether there is something newer
QUIET_LOOK_S = 5.0  # the same where no request comes
MOST_PAUSE_S = 60.0  # before what did not load is tried again
RETIRED_S = 120.0  # no request is under way for longer in what was replaced
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

    def is_recent(self, within_s: float = LOOK_AGAIN_S) -> bool:
        return time.monotonic() - self.seen_at < within_s


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """`loaded`: each live decision has been loaded here; one that comes later does not undo it.
    `newest`: each answers as it is newest."""

    store: bool
    loaded: bool
    newest: bool


@dataclass(frozen=True, kw_only=True)
class _Pause:
    """Before what did not load is tried again; twice as long after each failure."""

    failures: int
    until: float  # monotonic seconds

    @classmethod
    def after(cls, before: "_Pause | None") -> "_Pause":
        failures = before.failures + 1 if before else 1
        return cls(failures=failures, until=time.monotonic() + min(MOST_PAUSE_S, 2.0**failures))


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
        languages: LanguageDetector,
        clock: Clock,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._open_embedder = embedder
        self._open_door = door
        self._models = models
        self._languages = languages
        self._clock = clock
        self._embedder: TextEmbedder | None = None
        self._opening = threading.Lock()
        self._held: dict[Key, Live] = {}
        self._renewing: dict[Key, Future[None]] = {}
        self._guard = threading.Lock()  # of the two above, which the renewing thread changes too
        self._broken: dict[Key, _Pause] = {}  # whose newest release or index does not load
        self._been_loaded = False
        self._warmed: set[Key] = set()
        self._retired: list[tuple[float, LanguageDoor]] = []  # since when, in monotonic seconds
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
        if held and held.is_recent():
            return held
        lock = self._looking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                held = self._held.get(key)
                if held is None:
                    return await asyncio.to_thread(self._first, key)
                return held if held.is_recent() else await asyncio.to_thread(self._look, key, held)
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
            known = release, self.spec_of(tenant_id, release)
            self._specs[key] = known
        return known[1]

    def spec_of(self, tenant_id: str, release: str) -> DecisionSpec:
        """As it was trained. Raises Unavailable and CorruptArtifact."""
        with _told_as_unavailable():
            read = self._artifacts.get(tenant_id, release, RELEASE, only=("decision.yaml",))
        return parse_spec(read.files["decision.yaml"].decode())

    async def warm(self) -> None:
        """Loads every decision that is not loaded, and looks again at those that no request has
        looked at for a while. A server calls it again and again; what does not load is told by
        `ready`."""
        for key in await asyncio.to_thread(self._store.live_decisions):
            held = self._held.get(key)
            if held is None and self._pauses(key):
                continue
            if held and key in self._warmed and held.is_recent(QUIET_LOOK_S):
                continue
            try:
                live = await self.get(*key)
                if key not in self._warmed:
                    await live.door.warm_up()
                    self._warmed.add(key)
            except RungError as error:
                self._failed(key, error)
        await self._close_retired(RETIRED_S)

    def ready(self) -> Readiness:
        try:
            wanted = set(self._store.live_decisions())
        except RungError:
            return Readiness(store=False, loaded=self._been_loaded, newest=False)
        loaded = wanted <= self._held.keys()
        self._been_loaded = self._been_loaded or loaded
        newest = loaded and not wanted & self._broken.keys()
        return Readiness(store=True, loaded=self._been_loaded, newest=newest)

    async def renewed(self) -> None:
        """Returns when nothing is being loaded aside."""
        while renewing := list(self._renewing.values()):
            await asyncio.gather(*map(asyncio.wrap_future, renewing))

    async def close(self) -> None:
        """Lets the language doors settle what they still owe."""
        await asyncio.to_thread(self._loader.shutdown, cancel_futures=True)
        await self._close_retired(0)
        for live in self._held.values():
            await live.door.aclose()

    async def _close_retired(self, since_s: float) -> None:
        last = time.monotonic() - since_s
        with self._guard:
            old = [door for at, door in self._retired if at <= last]
            self._retired = [(at, door) for at, door in self._retired if at > last]
        for door in old:
            await door.aclose()

    def _first(self, key: Key) -> Live:
        live = self._without_deleted(key, self._loaded(key, self._live_release(key)))
        with self._guard:
            self._broken.pop(key, None)
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
            self._failed(key, error)
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
        self._broken.pop(key, None)
        return searched

    def _renew(self, key: Key) -> None:
        with self._guard:
            if key in self._renewing or self._pauses(key):
                return
            self._renewing[key] = renewing = self._loader.submit(self._load_newest, key)
        renewing.add_done_callback(lambda _: self._renewing.pop(key, None))

    def _load_newest(self, key: Key) -> None:
        held = self._held.get(key)
        if held is None:
            return
        try:
            newest = self._newest(key, held)
        except Exception as error:  # nobody waits for this thread, so it must tell all itself
            self._failed(key, error)
            return
        with self._guard:
            if key in self._held:  # else it was withdrawn meanwhile
                self._held[key] = newest
                if newest.door is not held.door:
                    self._retire(held.door)
                    self._warmed.discard(key)
                self._broken.pop(key, None)

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
        return self._without_deleted(key, newest)

    def _without_deleted(self, key: Key, live: Live) -> Live:
        """Loading takes a while, and what was deleted in it must not be found."""
        searched = hiding(self._store, key[0], live.spec.name, live.searched.indexes)
        return self._over(live, searched, {})

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
            if spec.by_text:
                self._languages.load()  # in this thread: the first text is read on the event loop
            embedder = self._embedder_of(spec)
            searched = self._searched(tenant_id, spec)
            indexes = {
                corpus: self._index(tenant_id, row, embedder.fingerprint)
                for corpus, row in searched.indexes.items()
                if embedder
            }
            parts = LadderParts.from_files(files, indexes, embedder)
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
                self._retire(gone.door)
        raise unknown_decision(name, self._store.decision_names(tenant_id))

    def _searched(self, tenant_id: str, spec: DecisionSpec) -> Searched:
        embedder = self._embedder_of(spec)
        fingerprint = embedder.fingerprint if embedder else None
        with _told_as_unavailable():
            return searched_now(self._store, tenant_id, spec, fingerprint)

    def _index(self, tenant_id: str, row: IndexRow, fingerprint: str) -> HybridIndex:
        return load_index(self._artifacts, tenant_id, row.artifact_id, fingerprint=fingerprint)

    def _ladder(self, parts: LadderParts, release: str, door: LanguageDoor) -> Ladder:
        return build_ladder(
            parts,
            release=release,
            door=door,
            models=self._models,
            languages=self._languages,
            clock=self._clock,
        )

    def _embedder_of(self, spec: DecisionSpec) -> TextEmbedder | None:
        """Loading it takes seconds, and without a text there is nothing to embed."""
        if not spec.by_text:
            return None
        with self._opening:
            self._embedder = self._embedder or self._open_embedder()
            return self._embedder

    def _retire(self, door: LanguageDoor) -> None:
        """Requests may be under way in it."""
        self._retired.append((time.monotonic(), door))

    def _failed(self, key: Key, error: Exception) -> None:
        """What was live, if anything was, goes on answering."""
        known = isinstance(error, RungError)
        LOG.error(
            "the newest of decision %s of %s does not load: %s",
            *(key[1], key[0], error),
            exc_info=None if known else error,
        )
        self._broken[key] = _Pause.after(self._broken.get(key))

    def _pauses(self, key: Key) -> bool:
        pause = self._broken.get(key)
        return pause is not None and time.monotonic() < pause.until


def _others(before: Searched, now: Searched) -> dict[str, IndexRow]:
    """By corpus, the indexes whose files are not those of before."""
    return {
        corpus: row
        for corpus, row in now.indexes.items()
        if row.artifact_id != before.indexes[corpus].artifact_id
    }


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """The decision is there; its files or its index are not, or are for another embedder."""
    try:
        yield
    except (NotFound, InvalidSettings) as error:
        raise Unavailable(error.code, error.message, way_out=error.way_out) from error
