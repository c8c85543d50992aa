"""Does the work that is due while this worker idles, whatever became of its consumer.

A Celery worker can live on without consuming after its broker was away (celery #8030, #10205), and
no process check shows it. So health is progress: where a job has been due for RESCUE_AFTER and
nothing has been done here for as long, messages do not arrive, and the job is taken from the ledger
without one. This cannot lose or double work, since the ledger alone says who may finish a job; and
once messages arrive again, nothing is due for so long and this thread sleeps.

It works in the worker's own process, also beside a pool of children, as a deaf consumer hands those
nothing. A job that kills its process then ends the worker, which a supervisor is to start again.
"""

import logging
import threading
from datetime import timedelta

from core.errors import RungError
from workers.runner import JobRunner

RESCUE_AFTER = timedelta(seconds=10)  # far above what any broker takes for a wake-up
LOOK_S = 1.0
STOP_S = 30.0  # a job at hand may end; then its lease hands it on
LOG = logging.getLogger("rung.workers")


class Rescue:
    def __init__(self, runner: JobRunner, *, after: timedelta = RESCUE_AFTER) -> None:
        self._runner = runner
        self._after = after
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rung rescue", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(STOP_S)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                if self._runner.idle_s() >= self._after.total_seconds() and self._overdue():
                    LOG.warning("jobs are due and no message comes: taking them from the ledger")
                    while self._overdue() and not self._over.is_set():
                        self._runner.run_next()
            except RungError as error:
                LOG.warning("%s", error)
            except Exception:
                LOG.exception("the rescue missed a beat")

    def _overdue(self) -> bool:
        return self._runner.is_overdue(self._after)
