"""One engine for SQLite and PostgreSQL, set so that a commit is durable and writers queue."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from core.errors import InvalidSettings

BUSY_MS = 15_000  # how long a writer waits for another process's transaction
WRITES = "rung_writes"  # the execution option of a transaction that will write


def make_engine(url: str) -> Engine:
    """Raises InvalidSettings for a database that Rung does not run on."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _refused("it is no database URL") from None  # the chain would show the password
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=10,
            max_overflow=20,
            pool_timeout=10,
            pool_pre_ping=True,  # a restarted database is met before a statement, not by it
            hide_parameters=True,  # errors end in logs, and parameters are payloads
            connect_args={"connect_timeout": 5, "application_name": "rung"},
        )
    if parsed.drivername != "sqlite":
        raise _refused("only sqlite and postgresql are supported")
    if not parsed.database or parsed.database == ":memory:":
        raise _refused("SQLite needs a file: several threads and processes share the database")
    engine = create_engine(
        parsed,
        poolclass=QueuePool,
        pool_size=10,
        max_overflow=54,  # with the pool, as many as requests are admitted at once by default
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_MS / 1000},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says so
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    _enable_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")  # an acknowledged decision survives power loss
    connection.execute("PRAGMA foreign_keys = ON")


def _enable_wal(connection: sqlite3.Connection) -> None:
    """The switch needs the file alone and does not wait by busy_timeout, so it is tried again."""
    last = time.monotonic() + BUSY_MS / 1000
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: one that asks for it midway can fail without waiting."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _refused(why: str) -> InvalidSettings:
    return InvalidSettings(
        "RUNG-DATABASE-URL",
        f"the database cannot be used: {why}",
        way_out="Set RUNG_DATABASE_URL to sqlite:////a/file.db or postgresql://user@host/name.",
    )
