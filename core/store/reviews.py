"""The queue for people: claimed with a lease, due by a time, and its outcome is feedback.

open ──claim──► claimed ──resolve──► resolved
 ▲  ◄──lease over──┘ │
 └──term over── snoozed
"""

import secrets
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select, tuple_, update

from core.contracts import Decision, Feedback
from core.errors import Conflict, InvalidRequest, NotFound
from core.store.base import Base
from core.store.feedback import add_feedback
from core.store.idempotency import Effects
from core.store.review_item import ReviewEvent, ReviewItem, ReviewState, review_item
from core.store.tables import decisions, payloads, review_events, reviews

LEASE = timedelta(minutes=15)  # a person reads and answers within it, or somebody else may
LONGEST_PAGE = 200
LONGEST_SNOOZE = timedelta(days=31)
SOURCE = "review"  # of the feedback that a resolution is


class Reviews(Base):
    def reviews(
        self,
        tenant_id: str,
        state: ReviewState | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[ReviewItem, ...]:
        """The next to be due first; `after` is the last id of the page before."""
        now = self.now()
        statement = _items(tenant_id)
        if state is not None:
            statement = statement.where(_in_state(state, now))
        order = tuple_(reviews.c.due_at, reviews.c.id)
        with self.reading() as connection:
            if after is not None:
                last = self._row(connection, tenant_id, after)
                # Of plain columns: SQLite compares a row of two as PostgreSQL does.
                statement = statement.where(
                    or_(
                        reviews.c.due_at > last.due_at,
                        and_(reviews.c.due_at == last.due_at, reviews.c.id > last.id),
                    )
                )
            page = statement.order_by(*order.clauses).limit(max(1, min(limit, LONGEST_PAGE)))
            return tuple(review_item(row, now) for row in connection.execute(page))

    def review(self, tenant_id: str, review_id: str) -> ReviewItem:
        """Raises NotFound."""
        with self.reading() as connection:
            return self._item(connection, tenant_id, review_id)

    def review_events(self, tenant_id: str, review_id: str) -> tuple[ReviewEvent, ...]:
        """Who did what with it, oldest first."""
        mine = (review_events.c.tenant_id == tenant_id) & (review_events.c.review_id == review_id)
        statement = select(review_events).where(mine).order_by(review_events.c.seq)
        with self.reading() as connection:
            return tuple(
                ReviewEvent(at=row.at, who=row.who, event=row.event, note=row.note)
                for row in connection.execute(statement)
            )

    def claim_review(
        self,
        tenant_id: str,
        review_id: str,
        who: str,
        *,
        effects: Effects[ReviewItem] | None = None,
    ) -> ReviewItem:
        """A lease on it for `who`, anew where they hold it already. Raises Conflict otherwise."""
        now = self.now()
        with self.writing() as connection:
            self._held_by(connection, tenant_id, review_id, who, now)
            _change(
                connection,
                tenant_id,
                review_id,
                {"state": "claimed", "claimed_by": who, "held_until": now + LEASE},
            )
            _log(connection, tenant_id, review_id, now, who, "claimed")
            return self._changed(connection, tenant_id, review_id, effects)

    def resolve_review(
        self,
        tenant_id: str,
        review_id: str,
        who: str,
        truth: str,
        document: str | None = None,
        note: str = "",
        *,
        effects: Effects[ReviewItem] | None = None,
    ) -> ReviewItem:
        """What was true, by a person: feedback in the same transaction. Raises Conflict where it
        is resolved, or claimed by another."""
        now = self.now()
        with self.writing() as connection:
            row = self._held_by(connection, tenant_id, review_id, who, now)
            outcome = {"truth": truth, "document": document, "note": note, "resolved_at": now}
            _change(
                connection,
                tenant_id,
                review_id,
                {"state": "resolved", "claimed_by": who, "held_until": None, **outcome},
            )
            told = Feedback(
                decision_id=row.decision_id,
                truth=truth,
                document=document,
                kpi=None,
                source=SOURCE,
                happened_at=now,
            )
            add_feedback(connection, tenant_id, told, now)
            _log(connection, tenant_id, review_id, now, who, "resolved", note)
            return self._changed(connection, tenant_id, review_id, effects)

    def snooze_review(
        self,
        tenant_id: str,
        review_id: str,
        who: str,
        until: datetime,
        note: str = "",
        *,
        effects: Effects[ReviewItem] | None = None,
    ) -> ReviewItem:
        """Out of the open ones until then; when it is due does not move."""
        now = self.now()
        if not now < until <= now + LONGEST_SNOOZE:
            raise InvalidRequest(
                "RUNG-REVIEW-SNOOZE",
                f"a review is snoozed for {LONGEST_SNOOZE.days} days at most, from now on",
                way_out="Give a time ahead, such as tomorrow's.",
            )
        with self.writing() as connection:
            self._held_by(connection, tenant_id, review_id, who, now)
            _change(
                connection,
                tenant_id,
                review_id,
                {"state": "snoozed", "claimed_by": None, "held_until": until},
            )
            _log(connection, tenant_id, review_id, now, who, "snoozed", note)
            return self._changed(connection, tenant_id, review_id, effects)

    def _held_by(
        self, connection: Connection, tenant_id: str, review_id: str, who: str, now: datetime
    ) -> Row[Any]:
        """The row, locked. Raises Conflict where it is not `who`'s to change."""
        row = self._row(connection, tenant_id, review_id, lock=True)
        if row.state == "resolved":
            raise Conflict(
                "RUNG-REVIEW-RESOLVED",
                "the review has been resolved already",
                way_out="Tell a later insight as feedback on its decision.",
            )
        if row.state == "claimed" and row.held_until > now and row.claimed_by != who:
            raise Conflict(
                "RUNG-REVIEW-CLAIMED",
                "somebody else has claimed the review",
                way_out="Take another one, or wait for the lease to end.",
                retry_after=(row.held_until - now).total_seconds(),
            )
        return row

    def _changed(
        self,
        connection: Connection,
        tenant_id: str,
        review_id: str,
        effects: Effects[ReviewItem] | None,
    ) -> ReviewItem:
        item = self._item(connection, tenant_id, review_id)
        if effects is not None:
            effects(connection, item)
        return item

    def _row(
        self, connection: Connection, tenant_id: str, review_id: str, *, lock: bool = False
    ) -> Row[Any]:
        statement = select(reviews).where(_mine(tenant_id, review_id))
        row = connection.execute(statement.with_for_update() if lock else statement).first()
        if row is None:
            raise unknown_review()
        return row

    def _item(self, connection: Connection, tenant_id: str, review_id: str) -> ReviewItem:
        row = connection.execute(_items(tenant_id).where(reviews.c.id == review_id)).first()
        if row is None:
            raise unknown_review()
        return review_item(row, self.now())


def open_review(
    connection: Connection, decision: Decision, *, now: datetime, due_at: datetime
) -> str:
    """In the transaction that records `decision`. Returns the review's id."""
    review_id = secrets.token_hex(12)
    connection.execute(
        reviews.insert().values(
            tenant_id=decision.tenant_id,
            id=review_id,
            decision_id=decision.id,
            decision=decision.name,
            state="open",
            created_at=now,
            due_at=due_at,
        )
    )
    _log(connection, decision.tenant_id, review_id, now, "rung", "opened")
    return review_id


def unknown_review() -> NotFound:
    return NotFound(
        "RUNG-REVIEW-ID",
        "there is no such review",
        way_out="Take an id from the list of reviews.",
    )


def _mine(tenant_id: str, review_id: str) -> ColumnElement[bool]:
    return (reviews.c.tenant_id == tenant_id) & (reviews.c.id == review_id)


def _items(tenant_id: str) -> Select[Any]:
    same_decision = and_(
        decisions.c.tenant_id == reviews.c.tenant_id, decisions.c.id == reviews.c.decision_id
    )
    same_payload = and_(
        payloads.c.tenant_id == reviews.c.tenant_id,
        payloads.c.decision_id == reviews.c.decision_id,
    )
    return (
        select(reviews, decisions.c.document.label("decided"), payloads.c.facts)
        .join(decisions, same_decision)
        .join(payloads, same_payload)
        .where(reviews.c.tenant_id == tenant_id)
    )


def _in_state(state: ReviewState, now: datetime) -> ColumnElement[bool]:
    """As of `now`: a lease or a snooze that is over leaves the review open."""
    column = reviews.c.state
    if state == "resolved":
        return column == state
    if state == "open":
        lapsed = column.in_(("claimed", "snoozed")) & (reviews.c.held_until <= now)
        return cast(ColumnElement[bool], (column == "open") | lapsed)
    return (column == state) & (reviews.c.held_until > now)


def _change(connection: Connection, tenant_id: str, review_id: str, values: dict[str, Any]) -> None:
    connection.execute(update(reviews).where(_mine(tenant_id, review_id)).values(values))


def _log(
    connection: Connection,
    tenant_id: str,
    review_id: str,
    at: datetime,
    who: str,
    event: str,
    note: str = "",
) -> None:
    connection.execute(
        review_events.insert().values(
            tenant_id=tenant_id, review_id=review_id, at=at, who=who, event=event, note=note
        )
    )
