"""A message is written in the transaction of what it tells of: neither exists without the other."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection

from core.contracts import Json
from core.store.tables import outbox


def post(
    connection: Connection,
    *,
    tenant_id: str,
    topic: str,
    payload: Mapping[str, Json],
    now: datetime,
) -> None:
    """core.jobs.outbox hands it on after the commit, at least once."""
    row = {"tenant_id": tenant_id, "topic": topic, "payload": payload}
    connection.execute(outbox.insert(), {**row, "created_at": now, "lease_until": now})
