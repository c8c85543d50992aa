"""Events of entities: told once, never changed, and read as they were known at a moment.

An entity's id never reaches a row: its keyed pseudonym does.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Row, bindparam, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from core.entity_features import EntityEvent
from core.errors import Conflict, InvalidSettings
from core.identity.pseudonym import pseudonym
from core.store.base import Base
from core.store.tables import entity_events

_FIRST = datetime.min.replace(tzinfo=UTC)
MOST_AT_ONCE = 1_000  # rows a statement: SQLite admits 32,766 parameters

# Built once: building them takes longer than SQLite needs to answer.
_OF = entity_events.c
_KNOWN = (
    (_OF.tenant_id == bindparam("tenant_id"))
    & (_OF.entity_type == bindparam("entity_type"))
    & (_OF.known_at <= bindparam("at"))
)
_NEWEST = select(_OF.known_at).where(_KNOWN).order_by(_OF.known_at.desc()).limit(1)
_STATE = select(entity_events).where(
    _KNOWN,
    _OF.entity == bindparam("entity"),
    _OF.happened_at > bindparam("since"),
    _OF.happened_at <= bindparam("at"),
)


class EntityEvents(Base):
    def record_events(self, tenant_id: str, entity_type: str, events: Sequence[EntityEvent]) -> int:
        """How many were new; all or, where an id stands for another event, none.

        `known_at` becomes this store's present. Raises Conflict.
        """
        known_at = self.now()
        rows = [self._event_row(tenant_id, entity_type, event, known_at) for event in events]
        with self.writing() as connection:
            return sum(
                _insert(connection, rows[start : start + MOST_AT_ONCE])
                for start in range(0, len(rows), MOST_AT_ONCE)
            )

    def entity_state(
        self, tenant_id: str, entity_type: str, entity: str, *, at: datetime, within: timedelta
    ) -> tuple[list[EntityEvent], datetime | None]:
        """Its events of (at - within, at] that were known by `at`, and the type's watermark.

        The watermark is when the newest event of any entity was known, of those known by `at`.
        """
        asked = {"tenant_id": tenant_id, "entity_type": entity_type, "at": at}
        window = {
            "entity": pseudonym(self._entity_secret(), tenant_id, entity),
            "since": at - within if at - _FIRST > within else _FIRST,
        }
        with self.reading() as connection:
            events = [_event(row, entity) for row in connection.execute(_STATE, asked | window)]
            watermark = connection.execute(_NEWEST, asked).scalar()
        return events, watermark

    def entity_log(self, tenant_id: str, entity_type: str) -> Iterator[EntityEvent]:
        """Every event of the type, entities by their pseudonyms, in an order of its own."""
        of = _OF
        mine = (of.tenant_id == tenant_id) & (of.entity_type == entity_type)
        ordered = select(entity_events).where(mine).order_by(of.entity, of.happened_at, of.event_id)
        with self.reading() as connection:
            for row in connection.execution_options(yield_per=MOST_AT_ONCE).execute(ordered):
                yield _event(row, row.entity)

    def _event_row(
        self, tenant_id: str, entity_type: str, event: EntityEvent, known_at: datetime
    ) -> dict[str, Any]:
        return {
            "tenant_id": tenant_id,
            "entity_type": entity_type,
            "entity": pseudonym(self._entity_secret(), tenant_id, event.entity),
            "event_id": event.id,
            "kind": event.kind,
            "happened_at": event.happened_at,
            "known_at": known_at,
            "content": dict(event.values),
        }

    def _entity_secret(self) -> SecretStr:
        if self._secret is None:
            raise InvalidSettings(
                "RUNG-SECRET-MISSING",
                "entities need the server's secret, and this store was opened without one",
                way_out="Open it with Settings.secret.",
            )
        return self._secret


def _insert(connection: Connection, rows: list[dict[str, Any]]) -> int:
    """Told again, an event changes nothing, not even when it was known."""
    of = _OF
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(entity_events).on_conflict_do_nothing()
    inserted = connection.execute(statement.returning(of.entity, of.event_id), rows).all()
    if len(inserted) == len(rows):
        return len(inserted)
    keys = {(row["entity"], row["event_id"]) for row in rows}
    head = rows[0]
    mine = (of.tenant_id == head["tenant_id"]) & (of.entity_type == head["entity_type"])
    stored = {
        (row.entity, row.event_id): (row.kind, row.happened_at, row.content)
        for row in connection.execute(
            select(entity_events).where(mine & tuple_(of.entity, of.event_id).in_(sorted(keys)))
        )
    }
    for row in rows:
        told = (row["kind"], row["happened_at"], row["content"])
        if stored[row["entity"], row["event_id"]] != told:
            raise Conflict(
                "RUNG-EVENT-CHANGED",
                "an event of that id was told before, and it was another one",
                way_out="An event never changes: tell the correction as an event of its own.",
            )
    return len(inserted)


def _event(row: Row[Any], entity: str) -> EntityEvent:
    return EntityEvent(
        entity=entity,
        id=row.event_id,
        kind=row.kind,
        happened_at=row.happened_at,
        known_at=row.known_at,
        values=row.content,
    )
