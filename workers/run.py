"""Runs a worker in this process: until stopped, or until the ledger has no open job."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import Celery, signals
from celery.apps.worker import Worker
from celery.worker import WorkController
from celery.worker import state as worker_state

from core.artifacts import ArtifactStore
from core.clock import SystemClock
from core.errors import RungError, Unavailable
from core.log_lines import log_lines
from core.settings import Settings
from core.store import Store
from workers.app import make_celery
from workers.catch_up import CATCH_UP_S, CatchUp
from workers.pulse import PRUNE_S, TASK, Every, Pulse, wake_by
from workers.rescue import RESCUE_AFTER, Rescue
from workers.runner import LEASE, JobRunner
from workers.sweep import Sweep
from workers.works import Works, every_work

LOOK_S = 0.2
LOG = logging.getLogger("rung.workers")


def run_worker(
    settings: Settings,
    works: Works = every_work,
    *,
    lease: timedelta = LEASE,
    rescue_after: timedelta = RESCUE_AFTER,
) -> None:
    """Works until SIGTERM or SIGINT, each of which lets the task at hand end."""
    log_lines(settings.log_level)
    with _ready(settings, works, lease, rescue_after) as (app, _):
        worker = Worker(app=app, quiet=True, **_options(settings))
        worker.start()
    if worker.exitcode:
        sys.exit(worker.exitcode)


def run_until_idle(
    settings: Settings,
    works: Works = every_work,
    *,
    lease: timedelta = LEASE,
    timeout_s: float = 600,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Works in this process until no job is open that it can do; `look` is called meanwhile.

    Raises Unavailable after `timeout_s`, and where the worker ends before its work does.
    """
    # A loaded embedder's threads do not live through a fork.
    settings = settings.model_copy(update={"worker_pool": "solo", "worker_concurrency": 1})
    ended = threading.Event()
    with _ready(settings, works, lease) as (app, runner):
        worker = WorkController(app=app, **_options(settings))

        def watch() -> None:
            last = time.monotonic() + timeout_s
            while time.monotonic() < last and runner.left() and not ended.wait(LOOK_S):
                look()
            worker_state.should_stop = 0  # an exit code: Celery's loop ends as by a warm SIGTERM

        watcher = threading.Thread(target=watch, name="rung idle watch", daemon=True)
        watcher.start()
        try:
            worker.start()
        finally:
            ended.set()
            watcher.join()
            worker_state.should_stop = None
        open_jobs = runner.left()
    if open_jobs:
        raise Unavailable(
            "RUNG-WORKER-TIMEOUT",
            f"{open_jobs} jobs were still open when the worker stopped",
            way_out="Look at the jobs' reasons, and start a worker with `rung worker`.",
        )


@contextmanager
def _ready(
    settings: Settings, works: Works, lease: timedelta, rescue_after: timedelta = RESCUE_AFTER
) -> Iterator[tuple[Celery, JobRunner]]:
    """The app with its one task, and a pulse beating; all is closed at the end."""
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    try:
        app = make_celery(settings)
        shop = works(settings, store)
        runner = JobRunner(store, shop.works, embedder=shop.embedder, lease=lease)

        def work() -> None:
            try:
                runner.run_next()
            except RungError as error:  # the store is away: the rescue needs no message
                LOG.warning("%s", error)

        # Not shared: Celery would hand it to every later app of this process too.
        app.task(name=TASK, shared=False)(work)
        app.set_current()
        app.set_default()  # its pools look tasks up in the default app
        # A forked child must share neither connections nor a lock that was held at that moment.
        signals.worker_process_init.connect(lambda **_: store.after_fork(), weak=False)
        artifacts = ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())
        slow: Every = {
            Sweep(settings, store).run: PRUNE_S,
            CatchUp(store, artifacts, lambda: runner.fingerprint).run: CATCH_UP_S,
        }
        pulse = Pulse(store, wake_by(app), runner, slow)
        rescue = Rescue(runner, after=rescue_after)
        pulse.start()
        rescue.start()
        try:
            yield app, runner
        finally:
            rescue.stop()
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
