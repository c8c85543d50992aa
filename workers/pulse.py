"""The heartbeat of a worker: sends what the outbox holds, sweeps the ledger, prunes what is old.

What may take minutes beats in a thread of its own, so that nobody waits for a wake-up meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

from celery import Celery
from kombu.exceptions import OperationalError

from core.errors import RungError, Unavailable
from core.jobs import Dispatcher, Outbox, Schedules
from core.jobs.housekeeping import prune_old
from core.jobs.ledger import WAKE
from core.store import Store
from workers.runner import JobRunner

TASK = "rung.work"
SEND_S, SWEEP_S, SCHEDULE_S, PRUNE_S = 0.5, 1.0, 5.0, 3600.0
CONFIRMED_S = 5.0  # a broker confirms in milliseconds; RabbitMQ short of memory or disk never does
STOP_S = 15.0  # above a wake-up that a silent broker delays; what it leaves, the next pulse does
LOG = logging.getLogger("rung.workers")
Every = Mapping[Callable[[], object], float]


class Pulse:
    """Daemon threads that no error ends: a queue that nobody sweeps looks like an idle one."""

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        runner: JobRunner,
        slow: Every | None = None,
    ) -> None:
        """`slow` is what else is to be done, and after how many seconds again."""
        dispatcher = Dispatcher(Outbox(store), {WAKE: lambda message: wake()})
        quick: Every = {
            dispatcher.run_once: SEND_S,
            runner.sweep: SWEEP_S,
            Schedules(store).enqueue_due: SCHEDULE_S,
        }
        slow = {lambda: prune_old(store): PRUNE_S, **(slow or {})}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._beat, args=(every,), name=name, daemon=True)
            for name, every in (("rung pulse", quick), ("rung slow pulse", slow))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float = STOP_S) -> None:
        """A beat that takes longer ends with the process, and is no reason to outlive a SIGTERM."""
        self._over.set()
        last = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, last - time.monotonic()))

    def _beat(self, every: Every) -> None:
        due = dict.fromkeys(every, 0.0)
        while not self._over.wait(SEND_S):
            for work, seconds in every.items():
                if time.monotonic() >= due[work]:
                    due[work] = time.monotonic() + seconds
                    _survive(work)


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
