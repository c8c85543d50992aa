"""Which index of a corpus is in force: the newest of an embedder's; two embedders never mix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, or_, select

from core.contracts import Json
from core.store.base import Base
from core.store.documents import MOST_AT_ONCE, CorpusName
from core.store.tables import indexes, versions

SETTLED = timedelta(hours=1)  # no process still loads what was replaced so long ago
THROUGH = "deletions_through"  # in a report: the last tombstone that the index knows of


@dataclass(frozen=True, kw_only=True, slots=True)
class NewIndex:
    """`report` is what was verified before it may come into force."""

    artifact_id: str
    fingerprint: str  # of the embedder
    report: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexRow:
    """`fingerprint` and `revision` are None in rows of before they were written."""

    seq: int
    corpus: str
    artifact_id: str
    fingerprint: str | None
    revision: int | None
    report: Mapping[str, Json]
    registered_at: datetime

    @property
    def deletions_through(self) -> int:
        """The last tombstone that it knows of; what was deleted later must be hidden."""
        through = self.report.get(THROUGH, 0)
        return through if isinstance(through, int) else 0


class Indexes(Base):
    def current_indexes(
        self, tenant_id: str, decision: str, fingerprint: str
    ) -> dict[str, IndexRow]:
        """By corpus, those in force for an embedder."""
        mine = (indexes.c.tenant_id == tenant_id) & (indexes.c.decision == decision)
        newest = _newest(mine & _of_embedder(fingerprint), indexes.c.corpus)
        with self.reading() as connection:
            return {row.corpus: _index(row) for row in connection.execute(newest)}

    def indexes_of(self, tenant_id: str, decision: str, corpus: str) -> tuple[IndexRow, ...]:
        """The newest of each embedder, the last to be registered first."""
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        with self.reading() as connection:
            return newest_of_each(connection, which)

    def forget_indexes(self, *, keep: int, older: timedelta = SETTLED) -> dict[str, list[str]]:
        """By tenant, the artifacts that no row names any more. The last `keep` of each corpus and
        embedder stay, what a version's lineage names, and what is younger than `older`."""
        place = func.row_number().over(
            partition_by=(
                indexes.c.tenant_id,
                indexes.c.decision,
                indexes.c.corpus,
                indexes.c.fingerprint,
            ),
            order_by=indexes.c.seq.desc(),
        )
        ranked = select(indexes, place.label("place")).subquery()
        before = self.now() - older
        old = select(ranked.c.seq, ranked.c.tenant_id, ranked.c.artifact_id)
        old = old.where(ranked.c.place > keep, ranked.c.registered_at <= before)
        with self.writing() as connection:
            rows = connection.execute(old).all()
            seqs = [row.seq for row in rows]
            for start in range(0, len(seqs), MOST_AT_ONCE):
                part = seqs[start : start + MOST_AT_ONCE]
                connection.execute(delete(indexes).where(indexes.c.seq.in_(part)))
            named = _named(connection, {row.tenant_id for row in rows})
        gone: dict[str, set[str]] = {}
        for row in rows:
            if (row.tenant_id, row.artifact_id) not in named:
                gone.setdefault(row.tenant_id, set()).add(row.artifact_id)
        return {tenant: sorted(ids) for tenant, ids in sorted(gone.items())}


def newest_of_each(connection: Connection, which: CorpusName) -> tuple[IndexRow, ...]:
    """The newest of each embedder, the last to be registered first."""
    newest = _newest(_of(which), indexes.c.fingerprint).order_by(indexes.c.seq.desc())
    return tuple(_index(row) for row in connection.execute(newest))


def newest_index(connection: Connection, which: CorpusName, fingerprint: str) -> IndexRow | None:
    mine = _of(which) & _of_embedder(fingerprint)
    row = connection.execute(
        select(indexes).where(mine).order_by(indexes.c.seq.desc()).limit(1)
    ).first()
    return None if row is None else _index(row)


def add_newer_index(
    connection: Connection,
    which: CorpusName,
    new: NewIndex,
    *,
    revision: int,
    through: int,
    now: datetime,
) -> bool:
    """Whether it came into force: a slow build never replaces an index of a later revision. The
    caller holds the lock of the corpus."""
    mine = _of(which) & (indexes.c.fingerprint == new.fingerprint)
    last = connection.execute(select(func.max(indexes.c.revision)).where(mine)).scalar()
    if last is not None and last >= revision:
        return False
    add_index(connection, which, new, revision=revision, through=through, now=now)
    return True


def add_index(
    connection: Connection,
    which: CorpusName,
    new: NewIndex,
    *,
    revision: int,
    through: int,
    now: datetime,
) -> None:
    """In force at once. In a transaction of the caller's."""
    connection.execute(
        indexes.insert().values(
            tenant_id=which.tenant_id,
            decision=which.decision,
            corpus=which.corpus,
            artifact_id=new.artifact_id,
            fingerprint=new.fingerprint,
            revision=revision,
            report={**new.report, THROUGH: through},
            registered_at=now,
        )
    )


def _named(connection: Connection, tenants: set[str]) -> set[tuple[str, str]]:
    """Tenant and artifact of every index that is still a row's or a version's."""
    rows = select(indexes.c.tenant_id, indexes.c.artifact_id)
    named = {(row.tenant_id, row.artifact_id) for row in connection.execute(rows)}
    of_versions = select(versions.c.tenant_id, versions.c.lineage)
    for row in connection.execute(of_versions.where(versions.c.tenant_id.in_(tenants))):
        told = row.lineage.get("indexes") or {}
        named |= {(row.tenant_id, artifact) for artifact in told.values()}
    return named


def _newest(which: ColumnElement[bool], by: ColumnElement[Any]) -> Select[Any]:
    last = select(func.max(indexes.c.seq)).where(which).group_by(by)
    return select(indexes).where(indexes.c.seq.in_(last))


def _of(which: CorpusName) -> ColumnElement[bool]:
    return and_(
        indexes.c.tenant_id == which.tenant_id,
        indexes.c.decision == which.decision,
        indexes.c.corpus == which.corpus,
    )


def _of_embedder(fingerprint: str) -> ColumnElement[bool]:
    """A row of before the fingerprint was written may be anybody's; loading it tells."""
    return or_(indexes.c.fingerprint == fingerprint, indexes.c.fingerprint.is_(None))


def _index(row: Row[Any]) -> IndexRow:
    return IndexRow(
        seq=row.seq,
        corpus=row.corpus,
        artifact_id=row.artifact_id,
        fingerprint=row.fingerprint,
        revision=row.revision,
        report=row.report or {},
        registered_at=row.registered_at,
    )
