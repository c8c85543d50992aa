"""Decisions with their traces; what a person sent lies apart, and is written with them or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.contracts import Decision, Feedback, Json
from core.errors import Conflict
from core.store.base import Base
from core.store.codec import rebuild
from core.store.feedback import feedback_of
from core.store.idempotency import Claim, complete
from core.store.reviews import open_review
from core.store.tables import decisions, payloads

REVIEW_WITHIN = timedelta(hours=4)  # half a working day


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDecision:
    decision: Decision
    facts: Mapping[str, Json]
    feedback: tuple[Feedback, ...]


class Decisions(Base):
    def record_decision(
        self,
        decision: Decision,
        facts: Mapping[str, Json],
        *,
        review: bool,
        idempotency: Claim | None = None,
    ) -> None:
        """All in one transaction: decision, payload, review item, the claim's answer,
        which is the decision. Raises Conflict where the id exists or the claim has passed to
        somebody else.
        """
        tenant_id, now = decision.tenant_id, self.now()
        try:
            with self.writing() as connection:
                if idempotency is not None:
                    complete(connection, idempotency, now, None, decision_id=decision.id)
                # Rows as parameters and not as values(): the statement is built and cached once.
                row = {
                    "tenant_id": tenant_id,
                    "id": decision.id,
                    "name": decision.name,
                    "rung": decision.rung,
                    "release": decision.release,
                    "decided_at": decision.decided_at,
                    "document": decision,
                }
                connection.execute(decisions.insert(), row)
                payload = {"tenant_id": tenant_id, "decision_id": decision.id, "facts": facts}
                connection.execute(payloads.insert(), payload)
                if review:
                    open_review(connection, decision, now=now, due_at=now + REVIEW_WITHIN)
        except IntegrityError as error:
            raise Conflict(
                "RUNG-DECISION-EXISTS",
                f"the decision {decision.id} is recorded already",
                way_out="Give every decision an id of its own.",
            ) from error

    def decision(self, tenant_id: str, decision_id: str) -> StoredDecision | None:
        """The whole decision as it was made, with what has been told about it since."""
        mine = (decisions.c.tenant_id == tenant_id) & (decisions.c.id == decision_id)
        same = (payloads.c.tenant_id == decisions.c.tenant_id) & (
            payloads.c.decision_id == decisions.c.id
        )
        statement = select(decisions.c.document, payloads.c.facts).join(payloads, same)
        with self.reading() as connection:
            row = connection.execute(statement.where(mine)).first()
            if row is None:
                return None
            told = feedback_of(connection, tenant_id, decision_id)
        return StoredDecision(
            decision=rebuild(Decision, row.document), facts=row.facts, feedback=told
        )
