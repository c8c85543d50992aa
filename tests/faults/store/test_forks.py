"""A child of a process that is at work on SQLite can work on it too."""

import os
import threading
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.store import Store

FORKS = 8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads, from 3.12 on
def test_children_write_while_their_parent_does(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'rung.db'}", SystemClock())
    over, begun = threading.Event(), threading.Event()

    def work() -> None:
        while not over.is_set():
            with store.writing(), store.reading():
                begun.set()
                over.wait(0.02)
            over.wait(0.02)  # SQLite's writers do not queue: without a pause nobody else gets in

    parent = threading.Thread(target=work)
    parent.start()
    assert begun.wait(10)
    codes = []
    for number in range(FORKS):
        pid = os.fork()
        if pid == 0:
            _write(store, f"d{number}")
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    over.set()
    parent.join(10)
    assert not parent.is_alive()
    assert codes == [0] * FORKS
    assert store.decision_names("acme") == tuple(f"d{number}" for number in range(FORKS))
    store.close()


def _write(store: Store, name: str) -> None:
    """Never returns."""
    code = 1
    try:
        store.after_fork()
        store.register_release("acme", name, "digest")
        code = 0
    finally:
        os._exit(code)
