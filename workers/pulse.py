"""The heartbeat of a worker: sends what the outbox holds, sweeps the ledger, prunes what is old."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from celery import Celery
from kombu.exceptions import OperationalError

from core.errors import RungError, Unavailable
from core.jobs import Dispatcher, JobLedger, Outbox, Schedules
from core.jobs.ledger import WAKE
from core.store import DatabaseBudget, Store
from workers.runner import JobRunner

TASK = "rung.work"
SEND_S, SWEEP_S, SCHEDULE_S, PRUNE_S = 0.5, 1.0, 5.0, 3600.0
CONFIRMED_S = 5.0  # a broker confirms in milliseconds; RabbitMQ short of memory or disk never does
STOP_S = 15.0  # above a wake-up that a silent broker delays; what it leaves, the next pulse does
LOG = logging.getLogger("rung.workers")


class Pulse:
    """A daemon thread that no error ends: a queue that nobody sweeps looks like an idle one."""

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        runner: JobRunner,
        prune: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._ledger = JobLedger(store)
        self._outbox = Outbox(store)
        self._runner = runner
        self._dispatcher = Dispatcher(self._outbox, {WAKE: lambda message: wake()})
        self._prunes: tuple[Callable[[], object], ...] = (
            self._outbox.prune,
            self._ledger.prune,
            store.prune_idempotency,
            store.prune_scores,
            DatabaseBudget(store, per_day={}).sweep,
            *prune,
        )
        self._every: dict[Callable[[], object], float] = {
            self._dispatcher.run_once: SEND_S,
            self._sweep: SWEEP_S,
            Schedules(store).enqueue_due: SCHEDULE_S,
            self._prune: PRUNE_S,
        }
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rung pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_s: float = STOP_S) -> None:
        """A beat that takes longer ends with the process, and is no reason to outlive a SIGTERM."""
        self._over.set()
        self._thread.join(within_s)

    def _beat(self) -> None:
        due = dict.fromkeys(self._every, 0.0)
        while not self._over.wait(SEND_S):
            for work, every in self._every.items():
                if time.monotonic() >= due[work]:
                    due[work] = time.monotonic() + every
                    _survive(work)

    def _sweep(self) -> None:
        self._ledger.sweep(self._runner.effects_of_failure)

    def _prune(self) -> None:
        for prune in self._prunes:
            _survive(prune)


def wake_by(app: Celery) -> Callable[[], None]:
    """Sends the one message there is: some job is due. Raises Unavailable."""
    # None of Celery's pool: that asks the broker to close one that failed, and waits for an answer.
    connection = app.connection_for_write()

    def wake() -> None:
        # Which library's error it is depends on where in kombu the broker was missed.
        down = (*connection.connection_errors, *connection.channel_errors, OperationalError)
        try:
            app.send_task(
                TASK, connection=connection, timeout=CONFIRMED_S, confirm_timeout=CONFIRMED_S
            )
        except (*down, OSError) as error:
            connection.collect()  # a late confirmation must not be taken for that of the next one
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
