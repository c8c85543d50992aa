"""Kills processes with SIGKILL at seeded points of the work, and starts them again."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOOK_S = 0.005
JITTER_S = 0.05  # so that a kill does not always follow the very step that reached its point


@dataclass(kw_only=True)
class Group:
    """Processes of one process group, which a signal meets all at once."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    size: int = 1
    folder: Path | None = None
    _processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def start(self) -> None:
        assert not self._processes
        for _ in range(self.size):
            group = self._processes[0].pid if self._processes else 0
            with self.log.open("ab") as log:
                process = subprocess.Popen(
                    self.command,
                    env=dict(self.environment),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=group,
                )
            self._processes.append(process)

    def send(self, number: signal.Signals) -> None:
        """Its children too, such as those of a prefork pool."""
        if self._processes:
            os.killpg(self._processes[0].pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.reap()

    def crash(self) -> None:
        """Killed, and started again."""
        self.kill()
        self.start()

    def terminate(self, patience_s: float) -> list[int]:
        """The exit codes after SIGTERM; kills what is left after the patience."""
        for process in self._processes:
            process.terminate()
        last = time.monotonic() + patience_s
        try:
            codes = [process.wait(max(0.1, last - time.monotonic())) for process in self._processes]
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self.kill()
        return codes

    def reap(self) -> None:
        for process in self._processes:
            process.wait()
        self._processes.clear()

    @property
    def alive(self) -> bool:
        return bool(self._processes) and all(one.poll() is None for one in self._processes)


class Crasher:
    """Does each of `actions` once, in an order and at points of `progress` drawn from the seed.

    By progress and not by the clock: a slow machine gets its kills in the middle of the work too.
    """

    def __init__(
        self,
        actions: Sequence[Callable[[], object]],
        progress: Callable[[], int],
        *,
        total: int,
        seed: int,
        look_s: float = LOOK_S,
    ) -> None:
        self._random = random.Random(seed)
        self._actions = self._random.sample(actions, len(actions))
        self._points = sorted(self._random.sample(range(1, total), len(actions)))
        self._progress = progress
        self._look_s = look_s
        self._thread = threading.Thread(target=self._run, name="crasher", daemon=True)
        self._over = threading.Event()
        self.fault: BaseException | None = None
        self.done = 0

    @property
    def left(self) -> int:
        return len(self._actions) - self.done

    def start(self) -> None:
        self._thread.start()

    def join(self, patience_s: float) -> None:
        """Waits for all actions. Raises what one raised."""
        self._thread.join(patience_s)
        self.stop()

    def stop(self) -> None:
        """Waits for the action under way. Raises what one raised."""
        self._over.set()
        self._thread.join()
        if self.fault is not None:
            raise self.fault

    def _run(self) -> None:
        try:
            for point, action in zip(self._points, self._actions, strict=True):
                while self._progress() < point:
                    if self._over.wait(self._look_s):
                        return
                time.sleep(self._random.uniform(0, JITTER_S))
                action()
                self.done += 1
        except BaseException as error:
            self.fault = error
