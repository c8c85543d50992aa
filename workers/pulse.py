"""The heartbeat of a worker: sends what the outbox holds, sweeps the ledger, prunes what is old."""

import logging
import threading
import time
from collections.abc import Callable

from celery import Celery

from core.contracts import Json
from core.errors import RungError, Unavailable
from core.jobs import Dispatcher, JobLedger, Outbox
from core.jobs.ledger import WAKE
from core.store import DatabaseBudget, Store

SEND_S, SWEEP_S, PRUNE_S = 0.5, 2.0, 3600.0
LOG = logging.getLogger("rung.workers")


class Pulse:
    """A daemon thread that no error ends: a queue that nobody sweeps looks like an idle one."""

    def __init__(self, store: Store, wake: Callable[[dict[str, Json]], None]) -> None:
        self._store = store
        self._ledger = JobLedger(store)
        self._outbox = Outbox(store)
        self._dispatcher = Dispatcher(self._outbox, {WAKE: lambda message: wake(dict(message))})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rung pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        due = {self._dispatcher.run_once: 0.0, self._ledger.sweep: 0.0, self._prune: 0.0}
        every = dict(zip(due, (SEND_S, SWEEP_S, PRUNE_S), strict=True))
        while not self._over.wait(SEND_S):
            for work, at in due.items():
                if time.monotonic() >= at:
                    due[work] = time.monotonic() + every[work]
                    _survive(work)

    def _prune(self) -> None:
        self._outbox.prune()
        self._store.prune_idempotency()
        DatabaseBudget(self._store, per_day={}).sweep()


def wake_by(app: Celery) -> Callable[[dict[str, Json]], None]:
    """Sends a job's message to the task that its kind names. Raises Unavailable."""

    def wake(message: dict[str, Json]) -> None:
        words = {"tenant_id": message["tenant_id"], "job_id": message["job_id"]}
        try:
            app.send_task(str(message["kind"]), kwargs=words)
        except (app.connection_for_write().connection_errors, OSError) as error:
            raise _broker_down(error) from error

    return wake


def _survive(work: Callable[[], object]) -> None:
    try:
        work()
    except RungError as error:
        LOG.warning("%s", error)
    except Exception:
        LOG.exception("the pulse missed a beat")


def _broker_down(error: BaseException) -> Unavailable:
    return Unavailable(
        "RUNG-BROKER-UNAVAILABLE",
        f"the broker does not answer ({type(error).__name__})",
        way_out="Start it, or check RUNG_BROKER_URL; what waits is sent when it answers.",
    )
