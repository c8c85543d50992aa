"""Scores that a batch has made, found again by their key until they are overtaken or forgotten.

A key that is a text never reaches a row: its keyed pseudonym does.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from core.errors import InvalidSettings
from core.identity.pseudonym import pseudonyms
from core.store.base import Base
from core.store.columns import Word
from core.store.tables import score_runs, scores

MOST_ASKED = 1_000  # keys a statement: SQLite admits 32,766 parameters
KEPT_AFTER_EXPIRY = timedelta(days=30)  # a stale score may still be asked for
ROWS_A_TRANSACTION = 10_000  # SQLite has one writer, and a decision must not wait a second for it
ROWS_A_STATEMENT = 1_000  # SQLite lets other threads run for a statement, not between its rows
_OF_ROW = ("key", "probability", "outcome", "features_digest")  # in the order of `keep_scores`
_TOLD = ", ".join(_OF_ROW)
_INSERT = f"""
INSERT INTO scores (tenant_id, decision, run, scored_at, {_TOLD})
SELECT run.tenant_id, run.decision, run.id, run.scored_at, told.* FROM score_runs AS run"""
# A job that is run again, or late, never overtakes a score that was made after it.
_UPSERT = """
ON CONFLICT (tenant_id, decision, key) DO UPDATE SET
    probability = excluded.probability, outcome = excluded.outcome,
    features_digest = excluded.features_digest, run = excluded.run, scored_at = excluded.scored_at
WHERE excluded.scored_at >= scores.scored_at"""
_POSTGRESQL = (
    f"CREATE TEMPORARY TABLE told ON COMMIT DROP AS SELECT {_TOLD} FROM scores LIMIT 0",
    f"COPY told ({_TOLD}) FROM STDIN",
    f"{_INSERT}, told WHERE run.id = %s {_UPSERT}",
)
Row = tuple[str, float, str, str]  # as _OF_ROW has it
T = TypeVar("T")


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


_SCORES = select(
    *(scores.c[name] for name in (*_OF_ROW, "scored_at")),
    score_runs.c.release,
    score_runs.c.expires_at,
).join_from(scores, score_runs, scores.c.run == score_runs.c.id)


class Scores(Base):
    def score_keys(self, tenant_id: str, keys: Iterable[str], *, hidden: bool) -> list[str]:
        """How the keys are stored; `hidden` ones by their pseudonym."""
        if not hidden:
            word, dialect = Word(), self._engine.dialect
            return [str(word.process_bind_param(key, dialect)) for key in keys]
        if self._secret is None:
            raise InvalidSettings(
                "RUNG-SECRET-MISSING",
                "keys of scores need the server's secret, and this store was opened without one",
                way_out="Open it with Settings.secret.",
            )
        return pseudonyms(self._secret, tenant_id, keys)

    def keep_scores(self, tenant_id: str, decision: str, rows: ScoredRows) -> int:
        """How many keys were written, in transactions of bounded size.

        Of rows with one key the last one counts, and none overtakes a score that was made later.
        What would be forgotten at once is not kept.
        """
        if rows.expires_at < self._forgotten_before():
            return 0
        told = {
            row[0]: row
            for row in zip(rows.keys, rows.probabilities, rows.outcomes, rows.digests, strict=True)
        }
        # In the order of the primary key: its pages are written once, and two writers that meet
        # the same keys lock them in one order.
        ordered = [told[key] for key in sorted(told)]
        for part in _parts(ordered, ROWS_A_TRANSACTION):
            with self.writing() as connection:
                _upsert(connection, _run(connection, tenant_id, decision, rows), part)
        return len(ordered)

    def scores(self, tenant_id: str, decision: str, keys: Sequence[str]) -> dict[str, Score]:
        """Those there are, by key; `keys` as `score_keys` names them."""
        found: dict[str, Score] = {}
        for part in _parts(sorted(set(keys)), MOST_ASKED):
            asked = _SCORES.where(*_of_decision(tenant_id, decision), scores.c.key.in_(part))
            with self.reading() as connection:
                rows = connection.execute(asked).all()
            found |= {row.key: Score(**row._mapping) for row in rows}
        return found

    def prune_scores(self) -> int:
        """Of every tenant, forgets those that expired long ago. Returns their number."""
        of = score_runs.c
        old = select(of.tenant_id, of.decision, of.id).where(
            of.expires_at < self._forgotten_before()
        )
        with self.reading() as connection:
            rows = connection.execute(old).all()
        runs: dict[tuple[str, str], list[int]] = {}
        for tenant_id, decision, run in rows:
            runs.setdefault((tenant_id, decision), []).append(run)
        return sum(self._forget_runs(*owner, over) for owner, over in runs.items())

    def _forget_runs(self, tenant_id: str, decision: str, runs: list[int]) -> int:
        """Walks through all keys, as no index, which each score would be written to, names the run.

        The runs go last: if this ends early, the next one walks again.
        """
        of, start, gone = scores.c, "", 0
        while True:
            rest = (*_of_decision(tenant_id, decision), of.key >= start)
            after = select(of.key).where(*rest).order_by(of.key).offset(ROWS_A_TRANSACTION).limit(1)
            with self.writing() as connection:
                end = connection.execute(after).scalar()
                part = rest if end is None else (*rest, of.key < end)
                old = delete(scores).where(*part, of.run.in_(runs))
                gone += connection.execute(old).rowcount
                if end is None:
                    connection.execute(delete(score_runs).where(score_runs.c.id.in_(runs)))
                    return gone
            start = end

    def _forgotten_before(self) -> datetime:
        return self.now() - KEPT_AFTER_EXPIRY


def _of_decision(tenant_id: str, decision: str) -> tuple[ColumnElement[bool], ...]:
    return scores.c.tenant_id == tenant_id, scores.c.decision == decision


def _run(connection: Connection, tenant_id: str, decision: str, rows: ScoredRows) -> int:
    """The id of what these rows have in common, which is kept once."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    new = dialect.insert(score_runs).values(
        tenant_id=tenant_id,
        decision=decision,
        release=rows.release,
        scored_at=rows.scored_at,
        expires_at=rows.expires_at,
    )
    kept = new.on_conflict_do_update(
        index_elements=["tenant_id", "decision", "release", "scored_at"],
        set_={"expires_at": new.excluded.expires_at},
    )
    return int(connection.execute(kept.returning(score_runs.c.id)).scalar_one())


def _upsert(connection: Connection, run: int, rows: Sequence[Row]) -> None:
    if connection.dialect.name == "sqlite":
        for part in _parts(rows, ROWS_A_STATEMENT):
            values = ", ".join(["(?, ?, ?, ?)"] * len(part))
            insert = f"{_INSERT}, (VALUES {values}) AS told WHERE run.id = ? {_UPSERT}"
            connection.exec_driver_sql(insert, (*chain.from_iterable(part), run))
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
    connection.exec_driver_sql(merge, (run,))


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
