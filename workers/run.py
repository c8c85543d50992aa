"""Runs a worker: until stopped, until the ledger has no open job, or beside another process."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from celery import Celery, signals
from celery.apps.worker import Worker
from celery.worker import WorkController
from celery.worker import state as worker_state

from core.artifacts import ArtifactStore
from core.clock import SystemClock
from core.embedding import TextEmbedder
from core.errors import Unavailable
from core.jobs import JobLedger
from core.settings import Settings
from core.store import Store
from workers.app import make_celery
from workers.build_index import ArtifactIndexBuilder
from workers.embed import KIND, LEASE, EmbedCorpus, IndexBuilder
from workers.pulse import Pulse, wake_by

STOP_S = 30  # a warm stop lets the task at hand end; then its lease hands the job on
LOOK_S = 0.2


def run_worker(
    settings: Settings, builder: IndexBuilder | None = None, *, lease: timedelta = LEASE
) -> None:
    """Works until SIGTERM or SIGINT, each of which lets the task at hand end."""
    logging.basicConfig(level=settings.log_level.upper())
    with _ready(settings, builder, lease) as (app, _):
        worker = Worker(app=app, quiet=True, **_options(settings))
        worker.start()
    if worker.exitcode:
        sys.exit(worker.exitcode)


def run_until_idle(
    settings: Settings,
    builder: IndexBuilder | None = None,
    *,
    lease: timedelta = LEASE,
    timeout_s: float = 600,
) -> None:
    """Works in this process until no job is open.

    Raises Unavailable after `timeout_s`, and where the worker ends before its work does.
    """
    ended = threading.Event()
    with _ready(settings, builder, lease) as (app, ledger):
        worker = WorkController(app=app, **_options(settings))

        def watch() -> None:
            last = time.monotonic() + timeout_s
            while time.monotonic() < last and ledger.open_count() and not ended.wait(LOOK_S):
                pass
            worker_state.should_stop = 0  # an exit code: Celery's loop ends as by a warm SIGTERM

        watcher = threading.Thread(target=watch, name="rung idle watch", daemon=True)
        watcher.start()
        try:
            worker.start()
        finally:
            ended.set()
            watcher.join()
            worker_state.should_stop = None
        left = ledger.open_count()
    if left:
        raise Unavailable(
            "RUNG-WORKER-TIMEOUT",
            f"{left} jobs were still open when the worker stopped",
            way_out="Look at the jobs' reasons, and start a worker with `rung worker`.",
        )


@dataclass(frozen=True, kw_only=True)
class WorkerProcess:
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_worker(settings: Settings) -> WorkerProcess:
    """A worker in a process of its own, since embedding would take the time of this one."""
    environment = {**os.environ, **settings.to_environment()}
    command = [sys.executable, "-m", "workers"]
    root = Path(__file__).parents[1]
    return WorkerProcess(process=subprocess.Popen(command, env=environment, cwd=root))


@contextmanager
def _ready(
    settings: Settings, builder: IndexBuilder | None, lease: timedelta
) -> Iterator[tuple[Celery, JobLedger]]:
    """The app with its tasks, and a pulse beating; all is closed at the end."""
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    try:
        app = make_celery(settings)
        embed = EmbedCorpus(store, builder or _production_builder(settings), lease=lease)

        def embed_corpus(tenant_id: str, job_id: str) -> None:
            embed(tenant_id, job_id)

        # Not shared: Celery would hand it to every later app of this process too.
        app.task(name=KIND, shared=False)(embed_corpus)
        app.set_current()
        app.set_default()  # its pools look tasks up in the default app
        # A forked child must share neither connections nor a lock that was held at that moment.
        signals.worker_process_init.connect(lambda **_: store.after_fork(), weak=False)
        pulse = Pulse(store, wake_by(app))
        pulse.start()
        try:
            yield app, JobLedger(store)
        finally:
            pulse.stop()
    finally:
        store.close()


def _options(settings: Settings) -> dict[str, object]:
    return {
        "pool": settings.worker_pool,
        "concurrency": settings.worker_concurrency,
        "loglevel": settings.log_level.upper(),
        "without_gossip": True,
        "without_mingle": True,
        "without_heartbeat": True,
    }


def _production_builder(settings: Settings) -> IndexBuilder:
    key = settings.secret.get_secret_value().encode()
    forks = settings.worker_pool == "prefork"

    def embedder() -> TextEmbedder:
        from rankers.embedder import MiniLMEmbedder  # torch, at the first job and not before

        return MiniLMEmbedder(threads=1 if forks else None)

    return ArtifactIndexBuilder(ArtifactStore(settings.artifacts, key), embedder)
