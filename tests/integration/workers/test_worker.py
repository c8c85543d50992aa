"""A real Celery worker on filesystem:// does every job, also killed in the middle, or deaf."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import InvalidDocument, Unavailable
from core.jobs import Job, JobLedger, Schedules
from core.settings import Settings
from core.store import Store
from tests.fakes.noting_worker import KIND, NotingWork, enqueue_note, only
from workers.pulse import Pulse
from workers.rescue import Rescue
from workers.run import run_until_idle
from workers.runner import Done, JobRunner, Report
from workers.works import Workshop

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60  # far above what any of this takes; reached only where a job is lost


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"RUNG_HOME": str(tmp_path / "home")})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """Of the time that passes, which a worker lives in."""
    opened = Store.open(settings.database_url, SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@contextmanager
def worker(settings: Settings, log: Path, seconds: float) -> Iterator["subprocess.Popen[bytes]"]:
    words = {"FAKE_LOG": str(log), "FAKE_SECONDS": str(seconds), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.noting_worker"],
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


def wait_for(condition: object, patience_s: float = PATIENCE_S) -> None:
    last = time.monotonic() + patience_s
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
        jobs = [enqueue_note(ledger, f"w{n}") for n in range(4)]
        wait_for(lambda: ledger.open_count() == 0)
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    found = [ledger.job("acme", job) for job in jobs]
    assert [job and (job.state, job.tries) for job in found] == [("done", 1)] * 4
    assert sorted(NotingWork(log).noted) == [f"w{n}" for n in range(4)]
    store.close()


def test_killed_in_the_middle_every_job_is_done_by_the_next_worker(
    settings: Settings, ledger: JobLedger, log: Path
) -> None:
    noting = NotingWork(log)
    jobs = [enqueue_note(ledger, f"w{n}") for n in range(6)]
    for round_ in (1, 2):
        with worker(settings, log, 0.4) as process:
            wait_for(lambda wanted=2 * round_: len(noting.noted) >= wanted)
            process.kill()
    with worker(settings, log, 0.0):
        wait_for(lambda: ledger.open_count() == 0)
    found = [ledger.job("acme", job) for job in jobs]
    assert [job and job.state for job in found] == ["done"] * 6
    assert len(noting.noted) > 6  # at least one was begun by a worker that was killed


def test_until_idle_works_in_this_process_and_again(
    settings: Settings, ledger: JobLedger, log: Path
) -> None:
    noting = NotingWork(log)
    run_until_idle(settings, only(noting))
    for word in ("first", "second"):
        job = enqueue_note(ledger, word)
        run_until_idle(settings, only(noting))
        found = ledger.job("acme", job)
        assert found is not None and (found.state, found.result) == ("done", {"word": word})
    assert noting.noted == ["first", "second"]


def test_until_idle_says_where_work_is_left(
    settings: Settings, ledger: JobLedger, log: Path
) -> None:
    enqueue_note(ledger, "word")
    with pytest.raises(Unavailable) as caught:
        run_until_idle(settings, only(NotingWork(log)), timeout_s=0)
    assert caught.value.code == "RUNG-WORKER-TIMEOUT"


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_until_idle_works_alone_in_this_process_whatever_the_pool(
    settings: Settings, ledger: JobLedger, log: Path, pool: str
) -> None:
    asked = settings.model_copy(update={"worker_pool": pool, "worker_concurrency": 4})
    given: list[Settings] = []
    where: list[tuple[int, str]] = []

    class Telling(NotingWork):
        def run(self, job: Job, report: Report) -> Done:
            where.append((os.getpid(), threading.current_thread().name))
            return super().run(job, report)

    def works(settings: Settings, store: Store) -> Workshop:
        given.append(settings)
        return Workshop(works=[Telling(log)])

    enqueue_note(ledger, "word")
    run_until_idle(asked, works, timeout_s=20)
    assert where == [(os.getpid(), threading.current_thread().name)]
    assert (given[0].worker_pool, given[0].worker_concurrency) == ("solo", 1)


def test_until_idle_waits_for_nothing_that_only_another_worker_can_do(
    settings: Settings, ledger: JobLedger, log: Path
) -> None:
    theirs = ledger.enqueue("acme", KIND, {"word": "theirs"}, "theirs", needs="another embedder")
    ledger.enqueue("acme", "another kind", {}, "other")
    enqueue_note(ledger, "ours")
    run_until_idle(settings, only(NotingWork(log)), timeout_s=20)
    assert NotingWork(log).noted == ["ours"]
    job = ledger.job("acme", theirs)
    assert job is not None and (job.state, job.tries) == ("queued", 0)


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (RuntimeError("out of memory"), "queued", "RuntimeError: out of memory"),
        (Unavailable("RUNG-A-B", "down", way_out="Wait."), "queued", "RUNG-A-B: down. Wait."),
        (InvalidDocument("RUNG-C-D", "bad", way_out="Fix."), "failed", "RUNG-C-D: bad. Fix."),
    ],
)
def test_a_failing_job_says_why_and_what_helps_is_tried_again(
    store: Store, ledger: JobLedger, log: Path, error: Exception, state: str, told: str
) -> None:
    job_id = enqueue_note(ledger, "word")
    JobRunner(store, [NotingWork(log, error=error)]).run_next()
    job = ledger.job("acme", job_id)
    assert job is not None and (job.state, job.reason) == (state, told)


# --- whatever becomes of the messages


@pytest.fixture
def deaf(store: Store, log: Path) -> Iterator[tuple[JobRunner, NotingWork]]:
    """A worker that no message reaches."""
    noting = NotingWork(log)
    runner = JobRunner(store, [noting])
    rescue = Rescue(runner, after=timedelta(seconds=1))
    rescue.start()
    yield runner, noting
    rescue.stop()


def test_a_worker_that_no_message_reaches_works_all_the_same(
    ledger: JobLedger, deaf: tuple[JobRunner, NotingWork]
) -> None:
    jobs = [enqueue_note(ledger, f"w{n}") for n in range(5)]
    wait_for(lambda: ledger.open_count() == 0)
    assert sorted(deaf[1].noted) == [f"w{n}" for n in range(5)]
    assert all((job := ledger.job("acme", name)) and job.tries == 1 for name in jobs)


def test_a_worker_that_is_busy_rescues_nothing(
    ledger: JobLedger, deaf: tuple[JobRunner, NotingWork]
) -> None:
    runner, noting = deaf
    noting.seconds = 4.0
    enqueue_note(ledger, "long")
    thread = threading.Thread(target=runner.run_next)
    thread.start()
    wait_for(lambda: noting.noted == ["long"])
    enqueue_note(ledger, "next")
    time.sleep(2.5)  # it is overdue by now, and this worker's one at hand goes on
    assert noting.noted == ["long"]
    noting.seconds = 0.0
    thread.join()
    wait_for(lambda: noting.noted == ["long", "next"])


def test_messages_that_are_lost_are_no_loss(
    settings: Settings, ledger: JobLedger, log: Path
) -> None:
    """The broker's folder is emptied again and again while a worker is to work."""
    lost = settings.broker_folder / "messages"
    with worker(settings, log, 0.0) as process:
        wait_for(lost.exists)
        over = threading.Event()

        def losing() -> None:
            while not over.wait(0.01):
                for path in lost.glob("*.msg"):
                    path.unlink(missing_ok=True)

        thread = threading.Thread(target=losing)
        thread.start()
        for n in range(3):
            enqueue_note(ledger, f"w{n}")
        wait_for(lambda: ledger.open_count() == 0)
        over.set()
        thread.join()
        process.terminate()
        process.wait(PATIENCE_S)
    assert sorted(set(NotingWork(log).noted)) == ["w0", "w1", "w2"]
    shutil.rmtree(settings.broker_folder)


def test_the_pulse_wakes_sweeps_and_keeps_schedules(
    store: Store, ledger: JobLedger, log: Path
) -> None:
    woken: list[int] = []
    runner = JobRunner(store, [NotingWork(log)])
    Schedules(store).put("acme", "nightly", KIND, {"word": "scheduled"}, timedelta(hours=24))
    pulse = Pulse(store, lambda: woken.append(1), runner)
    pulse.start()
    wait_for(lambda: woken)
    pulse.stop()
    assert runner.run_next()
    assert NotingWork(log).noted == ["scheduled"]


def test_what_is_slow_keeps_no_wake_up_waiting(store: Store, ledger: JobLedger, log: Path) -> None:
    woken: list[int] = []
    slow, over = threading.Event(), threading.Event()

    def read_a_large_index() -> None:
        slow.set()
        over.wait(PATIENCE_S)

    runner = JobRunner(store, [NotingWork(log)])
    pulse = Pulse(store, lambda: woken.append(1), runner, {read_a_large_index: PATIENCE_S})
    pulse.start()
    assert slow.wait(PATIENCE_S)
    enqueue_note(ledger, "word")
    wait_for(lambda: woken)
    over.set()
    pulse.stop()


def test_a_pulse_outlives_a_broker_that_is_down(store: Store, ledger: JobLedger, log: Path) -> None:
    tried: list[int] = []

    def down() -> None:
        tried.append(1)
        if len(tried) < 3:
            raise Unavailable("RUNG-BROKER-UNAVAILABLE", "no answer", way_out="Start it.")

    enqueue_note(ledger, "word")
    pulse = Pulse(store, down, JobRunner(store, [NotingWork(log)]))
    pulse.start()
    wait_for(lambda: len(tried) == 3)
    pulse.stop()


def test_a_pulse_that_hangs_keeps_no_worker_from_its_end(
    store: Store, ledger: JobLedger, log: Path
) -> None:
    hanging, resumed = threading.Event(), threading.Event()

    def wake() -> None:
        hanging.set()
        resumed.wait(PATIENCE_S)

    enqueue_note(ledger, "word")
    pulse = Pulse(store, wake, JobRunner(store, [NotingWork(log)]))
    pulse.start()
    assert hanging.wait(PATIENCE_S)
    started = time.monotonic()
    pulse.stop(within_s=0.1)
    assert time.monotonic() - started < PATIENCE_S / 2
    resumed.set()
    pulse.stop()


def test_importing_the_rooms_starts_no_celery() -> None:
    code = "import core.store, core.jobs, core.settings, sys; sys.exit('celery' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
