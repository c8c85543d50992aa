"""Forgets rows a part at a time: nobody waits for one long transaction."""

from sqlalchemy import ColumnElement, Table, delete, select, tuple_

from core.store.base import Base

ROWS_A_PART = 10_000  # SQLite has one writer, and a decision must not wait a second for it


def forget(store: Base, table: Table, which: ColumnElement[bool]) -> int:
    """Of all tenants, in transactions of its own. Returns the number of rows."""
    key = tuple_(*table.primary_key.columns)
    part = select(*table.primary_key.columns).where(which).limit(ROWS_A_PART)
    gone = 0
    while True:
        with store.writing() as connection:
            rows = connection.execute(delete(table).where(key.in_(part))).rowcount
        gone += rows
        if rows < ROWS_A_PART:
            return gone
