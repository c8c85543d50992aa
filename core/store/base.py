"""What every repository stands on: a transaction that reads, one that writes, and the clock."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    StatementError,
    TimeoutError,
)

from core.clock import Clock
from core.errors import RungError, Unavailable
from core.store.engine import WRITES
from core.store.forking import ForkGate


class Base:
    """Errors of the database leave as Unavailable, and those of a column's type as they are."""

    def __init__(self, engine: Engine, clock: Clock, secret: SecretStr | None) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{WRITES: True})
        self._clock = clock
        self._secret = secret
        self._turn = self._new_turn()
        self._gate = ForkGate(engine.dispose) if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def now(self) -> datetime:
        return self._clock.now()

    def after_fork(self) -> None:
        """In the child: its parent keeps the connections, and the lock that may be held there."""
        self._engine.dispose(close=False)
        self._turn = self._new_turn()

    def _new_turn(self) -> AbstractContextManager[Any]:
        """SQLite's own waiting is a poll with growing sleeps; threads of a process queue here."""
        return threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _told(), self._gated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: committed at the end, or, if anything is raised, never happened."""
        with _told(), self._gated(), self._turn, self._writer.begin() as connection:
            yield connection

    def _gated(self) -> AbstractContextManager[None]:
        return self._gate.transaction() if self._gate else nullcontext()


def insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Whether the row was inserted; one with the same key stays as it is."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(row).on_conflict_do_nothing()
    return connection.execute(statement.returning(table.c.tenant_id)).first() is not None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise  # of our statements, not of the database's state
    except (DatabaseError, InterfaceError, TimeoutError) as error:
        raise Unavailable(
            "RUNG-STORE-UNAVAILABLE",
            f"the database does not answer as it should ({type(error).__name__})",
            way_out="Send it again; the operator checks that it runs, is writable and has space.",
        ) from error
    except StatementError as error:
        if isinstance(error.orig, RungError):
            raise error.orig from None
        raise
