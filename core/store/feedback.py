"""What turned out to be true, however late; nothing told is ever overwritten."""

from datetime import datetime

from sqlalchemy import Connection, select

from core.contracts import Feedback
from core.errors import NotFound
from core.store.base import Base
from core.store.idempotency import Claim, complete
from core.store.tables import decisions, feedback


class FeedbackRows(Base):
    def record_feedback(
        self, tenant_id: str, told: Feedback, idempotency: Claim | None = None
    ) -> None:
        """Raises NotFound where this tenant has no such decision."""
        now = self.now()
        with self.writing() as connection:
            if idempotency is not None:
                complete(connection, idempotency, now, None, decision_id=told.decision_id)
            mine = (decisions.c.tenant_id == tenant_id) & (decisions.c.id == told.decision_id)
            if connection.execute(select(decisions.c.id).where(mine)).first() is None:
                raise unknown_decision(told.decision_id)
            add_feedback(connection, tenant_id, told, now)


def add_feedback(connection: Connection, tenant_id: str, told: Feedback, now: datetime) -> None:
    connection.execute(
        feedback.insert().values(
            tenant_id=tenant_id,
            decision_id=told.decision_id,
            truth=told.truth,
            document=told.document,
            kpi=told.kpi,
            source=told.source,
            happened_at=told.happened_at,
            recorded_at=now,
        )
    )


def feedback_of(connection: Connection, tenant_id: str, decision_id: str) -> tuple[Feedback, ...]:
    """In the order in which it was told."""
    mine = (feedback.c.tenant_id == tenant_id) & (feedback.c.decision_id == decision_id)
    rows = connection.execute(select(feedback).where(mine).order_by(feedback.c.seq))
    return tuple(
        Feedback(
            decision_id=row.decision_id,
            truth=row.truth,
            document=row.document,
            kpi=row.kpi,
            source=row.source,
            happened_at=row.happened_at,
        )
        for row in rows
    )


def unknown_decision(decision_id: str) -> NotFound:
    shown = decision_id[:40].encode("ascii", "backslashreplace").decode()
    return NotFound(
        "RUNG-DECISION-ID",
        f"there is no decision {shown}",
        way_out="Take the id from the answer to POST /v1/decisions/{name}.",
    )
