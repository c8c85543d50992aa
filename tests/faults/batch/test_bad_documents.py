"""Documents and disks that no worker can do anything about, met by a worker's own processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.jobs import JobLedger
from core.jobs.corpus_jobs import BUILD, BULK, put_documents
from core.settings import Settings
from core.store import Store
from core.store.documents import NewDocument
from tests.fakes.small_disk import small_disk
from tests.fakes.worker_nursery import DEADLY, LEASE_S, RESCUE_S, SECONDS, Nursery
from tests.faults.batch.corpus_audit import WHICH, corpus_of, current_index, faults_of
from tests.terminal import environment
from workers.beside import WorkerBeside

PLACE = (WHICH.tenant_id, WHICH.decision, WHICH.corpus)
# Nothing is rescued: that is done in the main process, which a deadly document would end.
SEAMS = {LEASE_S: "1", RESCUE_S: "3600", SECONDS: "0"}
PATIENCE_S = 180  # far above what it takes; reached only where one hangs


class ForkedWorker:
    """A worker of the nursery, for a WorkerBeside."""

    def __init__(self, nursery: Nursery) -> None:
        self._group = nursery.start(1)
        (self._pid,) = self._group.pids
        self.code: int | None = None

    def wait(self) -> int:
        (self.code,) = self._group.wait()
        return self.code

    def terminate(self) -> None:
        if self.code is None:
            os.kill(self._pid, signal.SIGTERM)

    def kill(self) -> None:
        self._group.send(signal.SIGKILL)


@contextmanager
def working(home: Path, log: Path, **settings: str) -> Iterator[tuple[Settings, Store]]:
    """A worker with a pool of two processes, whose leases last a second."""
    pool = {"RUNG_WORKER_POOL": "prefork", "RUNG_WORKER_CONCURRENCY": "2"}
    env = environment(home, **pool, **SEAMS, **settings)
    ours = Settings.from_environment({n: v for n, v in env.items() if n.startswith("RUNG_")})
    store = Store.open(ours.database_url, SystemClock())
    nursery = Nursery(env, log)
    worker = nursery.start(1)
    try:
        yield ours, store
        assert worker.terminate() == [0]  # whatever became of its children
    except BaseException:
        worker.kill()
        raise
    finally:
        nursery.close()
        store.close()


@pytest.mark.slow  # five workers die, each with its lease and its start
def test_a_document_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    good = corpus_of(8)
    bad = NewDocument(id="bad", title="Bad", text=f"This one is {DEADLY}.")
    with working(tmp_path / "home", tmp_path / "log") as (settings, store):
        put_documents(store, WHICH, [*good[:4], bad, *good[4:]], source="api", priority=BULK)
        _wait(lambda: JobLedger(store).open_count() == 0)
        states = store.corpus_state(*PLACE).documents
        assert {state: n for state, n in states.items() if n} == {"ready": 8, "failed": 1}
        (failed,) = store.failed_documents(*PLACE)
        assert failed.id == "bad" and "did not finish" in str(failed.reason)
        index = current_index(settings, store)
        assert {chunk.document for chunk in index.chunks} == {one.id for one in good}
        store_faults = faults_of(store, index, good)
        assert store_faults == ["9 rows of documents", "the row of bad is failed"]


def test_a_document_that_kills_its_worker_fails_alone_where_one_is_beside(tmp_path: Path) -> None:
    """A solo pool has no other process: each death is the worker's, and the next one goes on."""
    env = environment(tmp_path / "home", **SEAMS)
    settings = Settings.from_environment({n: v for n, v in env.items() if n.startswith("RUNG_")})
    store = Store.open(settings.database_url, SystemClock())
    good = corpus_of(8)
    bad = NewDocument(id="bad", title="Bad", text=f"This one is {DEADLY}.")
    put_documents(store, WHICH, [*good[:4], bad, *good[4:]], source="api", priority=BULK)
    nursery = Nursery(env, tmp_path / "log")
    started: list[ForkedWorker] = []

    def start() -> ForkedWorker:
        started.append(ForkedWorker(nursery))
        return started[-1]

    beside = WorkerBeside(start, first_pause_s=0.01)
    beside.start()
    try:
        _wait(lambda: JobLedger(store).open_count() == 0)
    finally:
        beside.stop()
        nursery.close()
    (failed,) = store.failed_documents(*PLACE)
    assert failed.id == "bad" and "did not finish" in str(failed.reason)
    store_faults = faults_of(store, current_index(settings, store), good)
    assert store_faults == ["9 rows of documents", "the row of bad is failed"]
    *dead, last = (worker.code for worker in started)
    assert dead and set(dead) == {-signal.SIGKILL} and last == 0
    store.close()


def test_a_full_disk_is_told_and_a_retry_after_it_is_enough(tmp_path: Path) -> None:
    """Of the artifacts; the documents and their vectors are in the database."""
    sent = corpus_of(40)
    home, log = tmp_path / "home", tmp_path / "log"
    with small_disk(tmp_path / "disk", 1) as disk:
        disk.fill()
        given = {"RUNG_ARTIFACTS": str(disk.folder / "artifacts")}
        with working(home, log, **given) as (settings, store):
            ledger = JobLedger(store)
            put_documents(store, WHICH, sent, source="api", priority=BULK)
            _wait(lambda: any(job.reason for job in ledger.jobs("acme", kind=BUILD)))
            (job,) = ledger.jobs("acme", kind=BUILD)
            assert "space" in str(job.reason)
            disk.free()
            _wait(lambda: ledger.open_count() == 0)
            done = ledger.job("acme", job.id)
            assert done is not None and done.state == "done"
            assert faults_of(store, current_index(settings, store), sent) == []


def test_a_home_without_a_disk_says_so_at_the_start(tmp_path: Path) -> None:
    """A worker that cannot open its database ends, with what to do in its log."""
    log = tmp_path / "log"
    given = {"RUNG_DATABASE_URL": f"sqlite:///{tmp_path}/none/rung.db"}
    nursery = Nursery(environment(tmp_path / "home", **SEAMS, **given), log)
    worker = nursery.start(1)
    try:
        assert worker.wait() == [1]
    finally:
        nursery.close()
    assert "RUNG-STORE-UNAVAILABLE" in log.read_text()


def _wait(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < last, "it does not come to pass"
        time.sleep(0.05)
