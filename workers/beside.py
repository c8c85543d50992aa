"""A worker beside this process: whatever ends it, another one starts; it outlives no stop.

It is a process of its own, since embedding would take the time of this one. It holds one end of a
pipe whose other end only this process has, so that it learns of this one's end however that comes.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from core.settings import Settings

STOP_S = 30.0  # a warm stop lets the job at hand end; then its lease hands the job on
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # before the next start; doubled each time
LONG_LIFE_S = 60.0  # whatever lived so long did not fail at its start
ROOT = Path(__file__).parents[1]
LOG = logging.getLogger("rung.workers")


class WorkerProcess(Protocol):
    """One that runs, or has ended; each method may be called from any thread."""

    def wait(self) -> int:
        """Its exit code, once it has ended; that of a signal is negative."""
        ...

    def terminate(self) -> None:
        """The job at hand may end."""
        ...

    def kill(self) -> None: ...


class WorkerBeside:
    """A daemon thread waits for the worker and starts the next; it sleeps while one runs."""

    def __init__(
        self, start: Callable[[], WorkerProcess], *, first_pause_s: float = FIRST_PAUSE_S
    ) -> None:
        self._start = start
        self._first_pause_s = first_pause_s
        self._over = threading.Event()
        self._starting = threading.Lock()  # so that none starts while `stop` looks for one
        self._worker: WorkerProcess | None = None
        self._thread = threading.Thread(target=self._supervise, name="rung beside", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns once the worker has ended, by force after STOP_S."""
        with self._starting:
            self._over.set()
            worker = self._worker
        if worker is not None:
            worker.terminate()
        self._thread.join(STOP_S)
        if worker is not None and self._thread.is_alive():
            worker.kill()
            self._thread.join()

    def _supervise(self) -> None:
        pause = self._first_pause_s
        while not self._over.is_set():
            began = time.monotonic()
            ended = self._run_one()
            if time.monotonic() - began >= LONG_LIFE_S:
                pause = self._first_pause_s
            if not self._over.is_set():
                LOG.warning("the worker %s; the next starts in %g s", ended, pause)
            self._over.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _run_one(self) -> str:
        """What became of it."""
        try:
            with self._starting:
                if self._over.is_set():
                    return "was not wanted any more"
                self._worker = worker = self._start()
        except OSError as error:  # no process or no descriptor is left: that may pass
            return f"did not start ({error})"
        code = worker.wait()
        return f"ended with exit code {code}"


class WorkerChild:
    """Leads a process group, so that no signal of a terminal meets it before `terminate` does, and
    that the children of its pool end with it.

    `module` is run with the settings in its environment, and is to call `end_with_parent`.
    """

    def __init__(self, settings: Settings, module: str = "workers") -> None:
        theirs, self._ours = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs)],
                env={**os.environ, **settings.to_environment()},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs,),
                process_group=0,
            )
        except OSError:
            os.close(self._ours)
            raise
        finally:
            os.close(theirs)

    def wait(self) -> int:
        code = self._process.wait()
        self.kill()  # a worker that was killed leaves the children of its pool behind
        os.close(self._ours)
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def start_worker(settings: Settings) -> WorkerBeside:
    """Until its `stop`, some worker runs or is about to."""
    beside = WorkerBeside(lambda: WorkerChild(settings))
    beside.start()
    return beside


def end_with_parent(words: Sequence[str]) -> None:
    """Stops this process, warmly, once the one that started it has ended.

    `words` are the arguments of this process: nothing where nobody waits for it, else the number
    of the end of the pipe that it inherited from WorkerChild.
    """
    if words:
        watch = threading.Thread(
            target=_end_after, args=(int(words[0]),), name="rung parent watch", daemon=True
        )
        watch.start()


def _end_after(pipe: int) -> None:
    os.read(pipe, 1)  # nobody writes: it returns when the last writer has ended
    LOG.warning("the process that started this worker has ended: stopping")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_S)
    os.killpg(os.getpid(), signal.SIGKILL)
