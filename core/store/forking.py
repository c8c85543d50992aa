"""No child process is born inside a transaction on SQLite, nor with a connection to it.

SQLite keeps the locks of a process in its memory. A child would take the locks that its parent held
at the fork for held for ever, and never write again; and it would take a connection's own lock for
its own, which it is not. See https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_across_a_fork_
"""

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_S = 30.0  # no transaction of ours takes so long; a fork that waits for ever is worse
LOG = logging.getLogger("rung.store")


class ForkGate:
    """`disconnect` closes the connections that idle, so that the child inherits none."""

    def __init__(self, disconnect: Callable[[], None]) -> None:
        self._disconnect = disconnect
        self._reset()
        _GATES.add(self)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Waits while a child is being born, unless this thread is in a transaction already."""
        depth = getattr(self._mine, "depth", 0)
        with self._changed:
            if not depth:
                self._changed.wait_for(lambda: not self._forking)
                self._open += 1
        self._mine.depth = depth + 1
        try:
            yield
        finally:
            self._mine.depth = depth
            with self._changed:
                if not depth:
                    self._open -= 1
                    self._changed.notify_all()

    def close(self) -> None:
        """Before the fork: from here on no transaction begins."""
        with self._changed:
            self._forking = True
            own = 1 if getattr(self._mine, "depth", 0) else 0
            if not self._changed.wait_for(lambda: self._open <= own, LONGEST_S):
                LOG.warning("a process is forked while a transaction on SQLite is under way")
        self._disconnect()

    def open_again(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._forking = False
        self._open = 0
        self._mine = threading.local()

    born = _reset  # in the child, whose only thread is the one that forked


_GATES: "weakref.WeakSet[ForkGate]" = weakref.WeakSet()


def _all(do: Callable[[ForkGate], None]) -> Callable[[], None]:
    def each() -> None:
        for gate in list(_GATES):
            do(gate)

    return each


os.register_at_fork(
    before=_all(ForkGate.close),
    after_in_parent=_all(ForkGate.open_again),
    after_in_child=_all(ForkGate.born),
)
