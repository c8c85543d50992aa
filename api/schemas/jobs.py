"""Jobs of the ledger, and schedules."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from api.schemas.common import Outgoing


class JobBody(Outgoing):
    """`progress` is in units of the job's kind: documents, rows."""

    id: str
    kind: str
    needs: str | None = Field(
        description="The fingerprint of the only embedder that can do it; null where any can."
    )
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    priority: int = Field(description="The greater is claimed first.")
    progress: int
    total: int | None = Field(description="Of how many units; null where that is not known.")
    seconds_left: float | None = Field(
        description="At the pace so far; null where that cannot be said."
    )
    tries: int = Field(description="How often a worker has claimed it.")
    max_tries: int
    reason: str | None = Field(description="Why its last try failed.")
    result: dict[str, JsonValue] | None
    created_at: datetime
    due_at: datetime = Field(
        description="Queued: not claimed before. Running: its lease, which its worker renews."
    )
    started_at: datetime | None = Field(description="Of the last try.")
    finished_at: datetime | None


class JobsBody(Outgoing):
    jobs: tuple[JobBody, ...]
    counts: dict[str, int] = Field(description="Of all the tenant's jobs, by state.")
    oldest_due_at: datetime | None = Field(
        description="Of the queued jobs, whatever is listed; null where none is queued."
    )


class ScheduleBody(Outgoing):
    name: str
    kind: str
    every_seconds: int
    next_at: datetime


class SchedulesBody(Outgoing):
    schedules: tuple[ScheduleBody, ...]
