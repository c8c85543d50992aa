"""Which index of a corpus is in force: the newest of an embedder's; two embedders never mix."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, or_, select

from core.contracts import Json
from core.store.base import Base
from core.store.columns import Moment
from core.store.documents import CorpusName
from core.store.tables import indexes, releases, versions

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


def forget_indexes(
    connection: Connection,
    which: CorpusName,
    *,
    keep: int,
    abandoned: Collection[str] = (),
    before: datetime,
) -> int:
    """All but the last `keep` of each embedder and what was in force after that moment; of the
    `abandoned` ones every one. Returns the number of rows."""
    of, order = indexes.c, indexes.c.seq.desc()
    replaced_at = func.lag(of.registered_at, type_=Moment()).over(
        partition_by=of.fingerprint, order_by=order
    )
    place = func.row_number().over(partition_by=of.fingerprint, order_by=order)
    told = (of.seq, of.fingerprint, place.label("place"), replaced_at.label("replaced_at"))
    ranked = select(*told).where(_of(which)).subquery()
    over = and_(ranked.c.place > keep, ranked.c.replaced_at < before)
    old = select(ranked.c.seq).where(or_(over, ranked.c.fingerprint.in_(abandoned)))
    return connection.execute(delete(indexes).where(indexes.c.seq.in_(old))).rowcount


def least_through(connection: Connection, which: CorpusName) -> int | None:
    """Up to which tombstone every index of the corpus knows; None where there is no index."""
    rows = connection.execute(select(indexes).where(_of(which)))
    return min((_index(row).deletions_through for row in rows), default=None)


def named_indexes(connection: Connection, tenant_id: str) -> set[str]:
    """The artifact of every index that is a row's or a trained version's."""
    rows = select(indexes.c.artifact_id).where(indexes.c.tenant_id == tenant_id)
    lineages = select(versions.c.lineage).where(versions.c.tenant_id == tenant_id)
    named = set(connection.execute(rows).scalars())
    for lineage in connection.execute(lineages).scalars():
        named.update(_of_lineage(lineage).values())
    return named


def judged_index(connection: Connection, which: CorpusName) -> str | None:
    """The artifact that the live release was judged with; None where none is live."""
    mine = (releases.c.tenant_id == which.tenant_id) & (releases.c.name == which.decision)
    live = select(releases.c.digest).where(mine).order_by(releases.c.seq.desc()).limit(1)
    of_it = (versions.c.tenant_id == which.tenant_id) & (versions.c.decision == which.decision)
    of_it &= versions.c.artifact == live.scalar_subquery()
    newest = select(versions.c.lineage).where(of_it).order_by(versions.c.seq.desc()).limit(1)
    return _of_lineage(connection.execute(newest).scalar()).get(which.corpus)


def _of_lineage(lineage: Mapping[str, Any] | None) -> dict[str, str]:
    """By corpus."""
    return dict((lineage or {}).get("indexes") or {})


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
