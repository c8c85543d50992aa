"""The worker beside a server starts again whatever ends it, and ends with the server."""

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.jobs import JobLedger
from core.settings import Settings
from core.store import Store
from tests.fakes.noting_worker import NotingWork, enqueue_note
from tests.terminal import command, environment
from workers.beside import WorkerBeside, WorkerChild

PATIENCE_S = 60  # far above what any of this takes; reached only where nothing comes
SOON_S = 15  # far below STOP_S, after which an idle worker would be killed by force


def test_after_a_kill_the_next_worker_does_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    settings = Settings.from_environment({"RUNG_HOME": str(tmp_path / "home")})
    store = Store.open(settings.database_url, SystemClock())
    ledger = JobLedger(store)
    children: list[WorkerChild] = []

    def start() -> WorkerChild:
        children.append(WorkerChild(settings, "tests.fakes.noting_worker"))
        return children[-1]

    beside = WorkerBeside(start, first_pause_s=0.05)
    beside.start()
    try:
        enqueue_note(ledger, "before")
        _wait(lambda: ledger.open_count() == 0)
        children[0].kill()
        _wait(lambda: len(children) == 2)
        enqueue_note(ledger, "after")
        _wait(lambda: ledger.open_count() == 0)
    finally:
        beside.stop()
    assert NotingWork(tmp_path / "log").noted == ["before", "after"]
    (told,) = (one for one in caplog.records if one.name == "rung.workers")
    assert told.levelno == logging.WARNING and "exit code -9" in told.message
    assert len(children) == 2  # its own stop is no reason to start another
    store.close()


def test_a_killed_server_takes_its_worker_with_it(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    messages = tmp_path / "home" / "broker" / "messages"
    with subprocess.Popen(
        command("serve", "--with-worker", "--port", 0, "--json"),
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            _wait(messages.exists)  # the worker is up: the server makes no such folder
        finally:
            os.kill(server.pid, signal.SIGKILL)
        # Up to the end of their output, which comes when neither is left who could write.
        output, _ = server.communicate(timeout=SOON_S)
    assert "the process that started this worker has ended" in output


# --- with workers that end as they are told


class Scripted:
    """Ends at once with its code, or, without one, when it is told to."""

    def __init__(self, code: int | None) -> None:
        self.told: list[str] = []
        self._code = code
        self._over = threading.Event()

    def wait(self) -> int:
        if self._code is None:
            assert self._over.wait(PATIENCE_S)
        return self._code or 0

    def terminate(self) -> None:
        self.told.append("terminate")
        self._over.set()

    def kill(self) -> None:
        self.told.append("kill")


def test_starts_back_off_and_one_that_cannot_start_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script: list[Scripted | OSError] = [Scripted(1), OSError("no process left"), Scripted(-9)]
    last = Scripted(None)
    left = [*script, last]

    def start() -> Scripted:
        found = left.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    beside = WorkerBeside(start, first_pause_s=0.01)
    beside.start()
    _wait(lambda: not left)
    beside.stop()
    assert last.told == ["terminate"]
    assert [one.message for one in caplog.records if one.name == "rung.workers"] == [
        "the worker ended with exit code 1; the next starts in 0.01 s",
        "the worker did not start (no process left); the next starts in 0.02 s",
        "the worker ended with exit code -9; the next starts in 0.04 s",
    ]


def test_a_stop_does_not_wait_for_the_pause() -> None:
    started: list[Scripted] = []

    def start() -> Scripted:
        started.append(Scripted(1))
        return started[-1]

    beside = WorkerBeside(start, first_pause_s=PATIENCE_S)
    beside.start()
    _wait(lambda: len(started) == 1)
    began = time.monotonic()
    beside.stop()
    assert time.monotonic() - began < 5 and len(started) == 1


def _wait(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < last, "it does not come to pass"
        time.sleep(0.02)
