"""Runs one job of the ledger: claimed, kept alive, and finished or given back with its reason."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.sharedctypes import RawValue
from typing import Protocol

from sqlalchemy import Connection

from core.contracts import Json
from core.errors import RungError
from core.jobs import Job, JobLedger
from core.jobs.corpus_jobs import BUILD, EMBED
from core.jobs.job import LeaseLost
from core.store import Store
from workers.embedding import SharedEmbedder

LEASE = timedelta(seconds=60)  # renewed while the work goes on; a dead worker's job waits so long
# The longest that good work says nothing: minutes, in which the words of a million chunks are read
# or their index is verified; a graph reports every few thousand vectors. What is silent for so long
# hangs, and its lease is left to end so that another worker gets the job.
LONGEST_SILENCE_S = 3600.0
EMBEDDING = {EMBED, BUILD}  # kinds of jobs that need an embedder
TOLD_EVERY_S = 1.0  # how often progress reaches the ledger, and a cancellation the worker
LOG = logging.getLogger("rung.workers")
Report = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a job came to. `effects` are written in the transaction that ends it, or not at all."""

    result: Mapping[str, Json] = field(default_factory=dict)
    effects: Callable[[Connection], None] | None = None


class NotYet(Exception):
    """The job waits for another one: it is given back, and this claim is no try."""


class Work(Protocol):
    """One kind of job. May be run any number of times for one job, also at the same time: what it
    writes before it returns must be the same each time, and all else is an effect of Done."""

    @property
    def kind(self) -> str: ...

    def run(self, job: Job, report: Report) -> Done:
        """`report` takes what is done and of how much, and raises LeaseLost where the claim has
        passed to another worker or the job is cancelled. A RungError says by `retryable` whether
        the job is tried again; any other error is."""
        ...

    def failed(self, job: Job, reason: str) -> Callable[[Connection], None] | None:
        """What is written in the transaction that ends the job as failed."""
        ...


class JobRunner:
    """Safe to run any number of times: only the last claim of a job can finish it."""

    def __init__(
        self,
        store: Store,
        works: Sequence[Work],
        *,
        embedder: SharedEmbedder | None = None,
        lease: timedelta = LEASE,
        longest_silence_s: float = LONGEST_SILENCE_S,
    ) -> None:
        self._ledger = JobLedger(store)
        self._works = {work.kind: work for work in works}
        self._embedder = embedder
        self._lease = lease
        self._longest_silence_s = longest_silence_s
        # Shared with forked children, of whom one may be killed while it works: so it holds a
        # time, which every process of the machine reads from the same clock, and no count.
        self._last_active = RawValue("d", time.monotonic())

    @property
    def fingerprint(self) -> str | None:
        """Of this worker's embedder, where it has one and can tell."""
        return self._embedder.fingerprint if self._embedder else None

    def left(self) -> int:
        """How many jobs are open that this worker can do, now or later."""
        return self._ledger.left_for(self._works.keys(), embedder=self.fingerprint)

    def is_overdue(self, by: timedelta) -> bool:
        """Whether a job that this worker may claim now has waited all that time."""
        return self._ledger.is_overdue(self._claimable(), by, embedder=self.fingerprint)

    def sweep(self) -> None:
        self._ledger.sweep(self._effects_of_failure, embedder=self.fingerprint)

    def idle_s(self) -> float:
        """How long nothing has been done by this worker, its children included."""
        return time.monotonic() - float(self._last_active.value)

    def run_next(self) -> bool:
        """Whether there was a job that this worker can do and nobody else does."""
        self._active()
        kinds = self._claimable()
        job = self._ledger.claim_next(kinds, self._lease, embedder=self.fingerprint)
        if job is None:
            return False
        work = self._works[job.kind]
        try:
            with self._kept(job) as report:
                done = work.run(job, report)
            self._ledger.finish(job, done.effects, result=done.result)
        except LeaseLost as error:
            LOG.warning("job %s: %s", job.id, error)
        except NotYet as told:
            self._put_off(job, str(told))
        except RungError as error:
            self._fail(work, job, str(error), retry=error.retryable)
        except Exception as error:  # whatever a library raises: the job must say why it failed
            LOG.exception("job %s failed", job.id)
            self._fail(work, job, f"{type(error).__name__}: {error}", retry=True)
        return True

    def _kept(self, job: Job) -> AbstractContextManager[Report]:
        return _kept(self._ledger, job, self._lease, self._longest_silence_s, self._active)

    def _active(self) -> None:
        self._last_active.value = time.monotonic()

    def _claimable(self) -> Collection[str]:
        if self._embedder is None or self._embedder.ready:
            return self._works.keys()
        return self._works.keys() - EMBEDDING

    def _effects_of_failure(self, job: Job, reason: str) -> Callable[[Connection], None] | None:
        """For the sweeper, which fails a job whose workers died too often."""
        work = self._works.get(job.kind)
        return work.failed(job, reason) if work else None

    def _put_off(self, job: Job, reason: str) -> None:
        try:
            self._ledger.put_off(job, reason)
        except RungError as error:
            LOG.warning("job %s could not be given back: %s", job.id, error)

    def _fail(self, work: Work, job: Job, reason: str, *, retry: bool) -> None:
        try:
            state = self._ledger.fail(job, reason, retry=retry, effects=work.failed(job, reason))
            LOG.warning("job %s is %s after: %s", job.id, state, reason)
        except RungError as error:
            # The lease ends by itself, and the sweeper does the rest.
            LOG.warning("job %s could not be given back: %s", job.id, error)


@contextmanager
def _kept(
    ledger: JobLedger,
    job: Job,
    lease: timedelta,
    longest_silence_s: float,
    active: Callable[[], None],
) -> Iterator[Report]:
    """Keeps the claim while the work goes on, from a thread that dies with the process."""
    over, lost = threading.Event(), threading.Event()
    told: list[tuple[int, int | None]] = []  # the newest progress, until the ledger has it
    spoken = threading.Event()

    def beat() -> None:
        silent = unheard = 0.0  # towards the ledger, and since the work last reported
        while not over.wait(TOLD_EVERY_S):
            silent += TOLD_EVERY_S
            unheard = 0.0 if spoken.is_set() else unheard + TOLD_EVERY_S
            spoken.clear()
            if unheard > longest_silence_s:
                LOG.error("job %s hangs: its lease is no longer renewed", job.id)
                return
            active()
            if not told and silent < lease.total_seconds() / 3:
                continue
            try:
                ledger.renew(job, lease, told.pop() if told else None)
                silent = 0.0
            except LeaseLost:
                lost.set()
                return
            except RungError as error:
                LOG.warning("job %s: its lease could not be renewed: %s", job.id, error)

    def report(done: int, total: int | None = None) -> None:
        if lost.is_set():
            raise LeaseLost(job.id)
        told[:] = [(done, total)]
        spoken.set()

    thread = threading.Thread(target=beat, name=f"lease of {job.id}", daemon=True)
    thread.start()
    try:
        yield report
    finally:
        over.set()
        thread.join()
