"""Scores that a batch has made, found again by their key until they are overtaken or forgotten.

A key that is a text never reaches a row: its keyed pseudonym does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.exc import DBAPIError

from core.errors import InvalidSettings
from core.identity.pseudonym import pseudonym
from core.store.base import Base
from core.store.columns import Word
from core.store.tables import scores

MOST_ASKED = 1_000  # keys a statement: SQLite admits 32,766 parameters
KEPT_AFTER_EXPIRY = timedelta(days=30)  # a stale score may still be asked for
ROWS_A_TRANSACTION = 10_000  # SQLite has one writer, and a decision must not wait a second for it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = ", ".join(column.name for column in scores.columns)  # in the order of `keep_scores`
# A job that is run again, or late, never overtakes a score that was made after it.
_UPSERT = """
ON CONFLICT (tenant_id, decision, key) DO UPDATE SET
    probability = excluded.probability, outcome = excluded.outcome,
    features_digest = excluded.features_digest, release = excluded.release,
    scored_at = excluded.scored_at, expires_at = excluded.expires_at
WHERE excluded.scored_at >= scores.scored_at"""
_SQLITE = f"INSERT INTO scores ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) {_UPSERT}"
_POSTGRESQL = (
    "CREATE TEMPORARY TABLE told (LIKE scores) ON COMMIT DROP",
    f"COPY told ({_COLUMNS}) FROM STDIN",
    f"INSERT INTO scores ({_COLUMNS}) SELECT {_COLUMNS} FROM told {_UPSERT}",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """`probability` is of the risk's outcome, as the model of `release` says.

    `outcome` is what the ladder decided, several joined by commas. An empty `features_digest` says
    that no model was asked: a rule or a stale feed decided.
    """

    key: str
    probability: float
    outcome: str
    features_digest: str
    release: str
    scored_at: datetime
    expires_at: datetime

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(self.outcome.split(","))

    def is_fresh(self, release: str | None, now: datetime) -> bool:
        """Of the `release` that is live, and not yet expired at `now`."""
        return self.release == release and now < self.expires_at


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """Of one release and moment, each sequence (n,) in the order of the table."""

    release: str
    scored_at: datetime
    expires_at: datetime
    keys: Sequence[str]
    probabilities: Sequence[float]
    outcomes: Sequence[str]
    digests: Sequence[str]


class Scores(Base):
    def score_keys(self, tenant_id: str, keys: Iterable[str], *, hidden: bool) -> list[str]:
        """How the keys are stored; `hidden` ones by their pseudonym."""
        if not hidden:
            return [str(Word().process_bind_param(key, self._engine.dialect)) for key in keys]
        if self._secret is None:
            raise InvalidSettings(
                "RUNG-SECRET-MISSING",
                "keys of scores need the server's secret, and this store was opened without one",
                way_out="Open it with Settings.secret.",
            )
        return [pseudonym(self._secret, tenant_id, key) for key in keys]

    def keep_scores(self, tenant_id: str, decision: str, rows: ScoredRows) -> int:
        """How many keys were written, in transactions of bounded size.

        Of rows with one key the last one counts, and none overtakes a score that was made later.
        """
        made, until = (
            (moment - _EPOCH) // _MICROSECOND for moment in (rows.scored_at, rows.expires_at)
        )
        told = {
            key: (tenant_id, decision, key, probability, outcome, digest, rows.release, made, until)
            for key, probability, outcome, digest in zip(
                rows.keys, rows.probabilities, rows.outcomes, rows.digests, strict=True
            )
        }
        # In the order of the primary key: its pages are written once, and two writers that meet
        # the same keys lock them in one order.
        ordered = [told[key] for key in sorted(told)]
        for start in range(0, len(ordered), ROWS_A_TRANSACTION):
            with self.writing() as connection:
                _upsert(connection, ordered[start : start + ROWS_A_TRANSACTION])
        return len(ordered)

    def scores(self, tenant_id: str, decision: str, keys: Sequence[str]) -> dict[str, Score]:
        """Those there are, by key; `keys` as `score_keys` names them."""
        of = scores.c
        mine = (of.tenant_id == tenant_id) & (of.decision == decision)
        found: dict[str, Score] = {}
        for part in _parts(sorted(set(keys))):
            with self.reading() as connection:
                rows = connection.execute(select(scores).where(mine, of.key.in_(part))).all()
            found |= {
                row.key: Score(**{name: getattr(row, name) for name in Score.__dataclass_fields__})
                for row in rows
            }
        return found

    def prune_scores(self) -> int:
        """Of every tenant, forgets those that expired long ago. Returns their number."""
        key = tuple_(scores.c.tenant_id, scores.c.decision, scores.c.key)
        old = select(*key.clauses).where(scores.c.expires_at < self.now() - KEPT_AFTER_EXPIRY)
        doomed = key.in_(old.limit(ROWS_A_TRANSACTION))
        gone = 0
        while True:
            with self.writing() as connection:
                part = connection.execute(delete(scores).where(doomed)).rowcount
            gone += part
            if part < ROWS_A_TRANSACTION:
                return gone


def _upsert(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_SQLITE, rows)
        return
    temporary, copy, merge = _POSTGRESQL
    connection.exec_driver_sql(temporary)
    driver: Any = connection.connection.cursor()
    raised: Any = connection.dialect.loaded_dbapi.Error
    try:
        with driver.copy(copy) as stream:
            for row in rows:
                stream.write_row(row)
    except raised as error:  # past SQLAlchemy, and still to be told as an error of the database is
        raise DBAPIError.instance(copy, None, error, raised, dialect=connection.dialect) from error
    connection.exec_driver_sql(merge)


def _parts(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), MOST_ASKED):
        yield keys[start : start + MOST_ASKED]
