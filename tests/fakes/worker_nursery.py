"""Worker processes that start in milliseconds: forked from one that has imported all they need.

`python -m tests.fakes.worker_nursery LOG` reads `start N` and answers with the ids of N workers in
one process group; `wait` and answers with their exit codes. A worker is `workers.run.run_worker`
with the works of production and a HashingEmbedder, forked before any thread or connection exists.
None outlives the test, whatever ends that.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import rankers.corpora  # noqa: F401  # FAISS, once for all workers
from core.embedding import FloatArray, TextEmbedder
from core.settings import Settings
from tests.fakes.hashing_embedder import HashingEmbedder
from workers.run import run_worker
from workers.works import Works, works_with

LEASE_S = "FAKE_LEASE_S"
RESCUE_S = "FAKE_RESCUE_S"  # how long a worker idles before it rescues what is due
SECONDS = "FAKE_SECONDS"  # that one call of the embedder takes
DEADLY = "deadly"  # a text with this word kills the process that embeds it, as a bad file may


class WorkerEmbedder(HashingEmbedder):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def encode(self, texts: Sequence[str]) -> FloatArray:
        if any(DEADLY in text for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._seconds)
        return super().encode(texts)


def hashing_works(seconds: float = 0.0) -> Works:
    def embedder() -> TextEmbedder:
        return WorkerEmbedder(seconds)

    def fingerprint() -> str:
        return embedder().fingerprint

    return lambda settings, store: works_with(settings, store, embedder, fingerprint)


class Nursery:
    """Starts groups of workers that share an environment; each group dies as one."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.worker_nursery", str(log)],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, size: int) -> "WorkerGroup":
        return WorkerGroup(pids=[int(pid) for pid in self._ask(f"start {size}")], ask=self._ask)

    def close(self) -> None:
        """Kills the workers that are left."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _ask(self, words: str) -> list[str]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer.endswith("\n"), self.log.read_text()
        return answer.split()


class WorkerGroup:
    def __init__(self, *, pids: Sequence[int], ask: Callable[[str], list[str]]) -> None:
        self.pids = list(pids)
        self._ask = ask

    def send(self, number: signal.Signals) -> None:
        """The children of a prefork pool too. Nothing where all is over."""
        if self.pids:
            os.killpg(self.pids[0], number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def terminate(self) -> list[int]:
        """The exit codes of the workers, each of which may end the task at hand."""
        for pid in self.pids:
            os.kill(pid, signal.SIGTERM)
        return self.wait()

    def wait(self) -> list[int]:
        """The exit codes, once all have ended."""
        if not self.pids:
            return []
        codes = [int(code) for code in self._ask(f"wait {' '.join(map(str, self.pids))}")]
        self.pids.clear()
        return codes


def main(log: Path) -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "start":
            pids = _start(int(rest[0]), log)
            groups.add(pids[0])
            print(*pids, flush=True)
        else:
            print(*(_code_of(int(pid)) for pid in rest), flush=True)
            groups.discard(int(rest[0]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _start(size: int, log: Path) -> list[int]:
    pids: list[int] = []
    for _ in range(size):
        group = pids[0] if pids else 0
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, group)
            _work(log)
        os.setpgid(pid, group or pid)  # whichever of the two comes first
        pids.append(pid)
    return pids


def _work(log: Path) -> None:
    """Never returns."""
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for source, sink in ((nothing, 0), (written, 1), (written, 2)):
            os.dup2(source, sink)
        lease, rescue = (timedelta(seconds=float(os.environ[n])) for n in (LEASE_S, RESCUE_S))
        works = hashing_works(float(os.environ[SECONDS]))
        settings = Settings.from_environment(os.environ)
        run_worker(settings, works, lease=lease, rescue_after=rescue)
        code = 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
