"""Vectors of texts that were embedded before, of one tenant, by embedder and digest of the text."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import numpy as np
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.embedding import FloatArray, VectorCache
from core.store.base import Base
from core.store.tables import vectors

T = TypeVar("T")
MOST_AT_ONCE = 1_000  # rows a statement: SQLite admits 32,766 parameters
STORED = "<f4"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loose:
    """Vectors of texts that no index holds: those that went, and those that are too young."""

    gone: int
    left: int


class Vectors(Base):
    def vectors(self, tenant_id: str) -> VectorCache:
        return TenantVectors(self, tenant_id)


class TenantVectors:
    def __init__(self, store: Base, tenant_id: str) -> None:
        self._store = store
        self._tenant_id = tenant_id

    def known(self, fingerprint: str, digests: Sequence[str]) -> Mapping[str, FloatArray]:
        of = vectors.c
        mine = (of.tenant_id == self._tenant_id) & (of.fingerprint == fingerprint)
        found: dict[str, FloatArray] = {}
        for part in _parts(sorted(set(digests))):
            asked = select(of.text_digest, of.vector).where(mine, of.text_digest.in_(part))
            with self._store.reading() as connection:
                rows = connection.execute(asked).all()
            found |= {row.text_digest: np.frombuffer(row.vector, dtype=STORED) for row in rows}
        return found

    def keep(self, fingerprint: str, made: Mapping[str, FloatArray]) -> None:
        dialect = sqlite if self._store.is_sqlite else postgresql
        statement = dialect.insert(vectors).on_conflict_do_nothing()
        now = self._store.now()
        for part in _parts(sorted(made)):
            rows = [
                {
                    "tenant_id": self._tenant_id,
                    "fingerprint": fingerprint,
                    "text_digest": digest,
                    "vector": np.asarray(made[digest], dtype=STORED).tobytes(),
                    "kept_at": now,
                }
                for digest in part
            ]
            with self._store.writing() as connection:
                connection.execute(statement, rows)


def vector_counts(store: Base) -> dict[str, dict[str, int]]:
    """By tenant and embedder."""
    of = vectors.c
    counting = select(of.tenant_id, of.fingerprint, func.count())
    with store.reading() as connection:
        rows = connection.execute(counting.group_by(of.tenant_id, of.fingerprint)).all()
    counts: dict[str, dict[str, int]] = {}
    for tenant_id, fingerprint, count in rows:
        counts.setdefault(tenant_id, {})[fingerprint] = count
    return counts


def forget_vectors(
    store: Base, tenant_id: str, fingerprint: str, *, but: Collection[str], before: datetime
) -> Loose:
    """Those of other texts than `but` (digests) that were kept before that moment, a part at a
    time. Whoever still needs one of them embeds it again."""
    of = vectors.c
    mine = (of.tenant_id == tenant_id) & (of.fingerprint == fingerprint)
    page = select(of.text_digest).order_by(of.text_digest).limit(MOST_AT_ONCE)
    last, gone, left = "", 0, 0
    while True:
        with store.reading() as connection:
            digests = connection.execute(page.where(mine, of.text_digest > last)).scalars().all()
        if not digests:
            return Loose(gone=gone, left=left)
        last = digests[-1]
        if loose := [digest for digest in digests if digest not in but]:
            old = mine & of.text_digest.in_(loose) & (of.kept_at < before)
            with store.writing() as connection:
                went = connection.execute(delete(vectors).where(old)).rowcount
            gone, left = gone + went, left + len(loose) - went


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]
