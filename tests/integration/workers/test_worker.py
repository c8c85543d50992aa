"""A real Celery worker on filesystem:// does every job, also when it is killed in the middle."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import InvalidDocument, Unavailable
from core.jobs import JobLedger
from core.settings import Settings
from core.store import Store
from tests.fakes.index_builder import FakeIndexBuilder
from workers.embed import EmbedCorpus, enqueue_embed
from workers.run import run_until_idle

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60  # far above what any of this takes; reached only where a job is lost


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"RUNG_HOME": str(tmp_path / "home")})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store.open(settings.database_url, SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def worker(settings: Settings, log: Path, seconds: float) -> Iterator["subprocess.Popen[bytes]"]:
    words = {"FAKE_LOG": str(log), "FAKE_SECONDS": str(seconds), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.index_builder"],
        env={**os.environ, **settings.to_environment(), **words},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(condition: object) -> None:
    last = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < last, "a job was lost"
        time.sleep(0.05)


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_a_worker_process_does_the_jobs_and_stops_when_told(
    tmp_path: Path, log: Path, pool: str
) -> None:
    settings = Settings.from_environment(
        {"RUNG_HOME": str(tmp_path / "home"), "RUNG_WORKER_POOL": pool}
    )
    store = Store.open(settings.database_url, SystemClock())
    ledger = JobLedger(store)
    with worker(settings, log, 0.01) as process:
        jobs = [enqueue_embed(store, "acme", "support", f"c{n}", f"d{n}") for n in range(4)]
        wait_for(lambda: ledger.open_count() == 0)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    found = [ledger.job("acme", job) for job in jobs]
    assert [job and (job.state, job.tries) for job in found] == [("done", 1)] * 4
    indexes = {f"c{n}": f"index of d{n}" for n in range(4)}
    assert store.current_indexes("acme", "support") == indexes
    assert sorted(FakeIndexBuilder(log).calls) == [f"d{n}" for n in range(4)]
    store.close()


def test_killed_in_the_middle_every_job_is_done_by_the_next_worker(
    settings: Settings, store: Store, log: Path
) -> None:
    ledger, builder = JobLedger(store), FakeIndexBuilder(log)
    jobs = [enqueue_embed(store, "acme", "support", f"c{n}", f"d{n}") for n in range(6)]
    for round_ in (1, 2):
        with worker(settings, log, 0.4) as process:
            wait_for(lambda wanted=2 * round_: len(builder.calls) >= wanted)
            process.kill()
    with worker(settings, log, 0.0):
        wait_for(lambda: ledger.open_count() == 0)
    found = [ledger.job("acme", job) for job in jobs]
    assert [job and job.state for job in found] == ["done"] * 6
    assert len(builder.calls) > 6  # at least one was begun by a worker that was killed
    assert len(store.current_indexes("acme", "support")) == 6


def test_until_idle_works_in_this_process_and_again(
    settings: Settings, store: Store, log: Path
) -> None:
    builder = FakeIndexBuilder(log)
    run_until_idle(settings, builder)
    for documents in ("old", "new"):
        job = enqueue_embed(store, "acme", "support", "corpus", documents)
        run_until_idle(settings, builder)
        found = JobLedger(store).job("acme", job)
        assert found is not None and found.state == "done"
        assert store.current_index("acme", "support", "corpus") == f"index of {documents}"
    assert builder.calls == ["old", "new"]


def test_until_idle_says_where_work_is_left(settings: Settings, store: Store, log: Path) -> None:
    enqueue_embed(store, "acme", "support", "corpus", "documents")
    with pytest.raises(Unavailable) as caught:
        run_until_idle(settings, FakeIndexBuilder(log), timeout_s=0)
    assert caught.value.code == "RUNG-WORKER-TIMEOUT"


class FailingBuilder:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def build(self, *, tenant_id: str, documents: str) -> str:
        raise self.error


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (RuntimeError("out of memory"), "queued", "RuntimeError: out of memory"),
        (Unavailable("RUNG-A-B", "down", way_out="Wait."), "queued", "RUNG-A-B: down. Wait."),
        (InvalidDocument("RUNG-C-D", "bad", way_out="Fix."), "failed", "RUNG-C-D: bad. Fix."),
    ],
)
def test_a_failing_build_says_why_and_what_helps_is_tried_again(
    store: Store, error: Exception, state: str, told: str
) -> None:
    job_id = enqueue_embed(store, "acme", "support", "corpus", "documents")
    EmbedCorpus(store, FailingBuilder(error))("acme", job_id)
    job = JobLedger(store).job("acme", job_id)
    assert job is not None and (job.state, job.reason) == (state, told)
    assert store.current_index("acme", "support", "corpus") is None


def test_a_task_for_another_tenants_or_no_job_does_nothing(store: Store, log: Path) -> None:
    job_id = enqueue_embed(store, "acme", "support", "corpus", "documents")
    embed = EmbedCorpus(store, FakeIndexBuilder(log))
    embed("other", job_id)
    embed("acme", "unknown")
    assert FakeIndexBuilder(log).calls == []
    embed("acme", job_id)
    embed("acme", job_id)
    assert FakeIndexBuilder(log).calls == ["documents"]


def test_importing_the_rooms_starts_no_celery() -> None:
    code = "import core.store, core.jobs, core.settings, sys; sys.exit('celery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
