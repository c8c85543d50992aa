"""Vectors of texts that were embedded before, of one tenant, by embedder and digest of the text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from core.embedding import FloatArray, VectorCache, text_digest
from core.store.base import Base
from core.store.tables import vectors

T = TypeVar("T")
MOST_AT_ONCE = 1_000  # rows a statement: SQLite admits 32,766 parameters
STORED = "<f4"


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
        for part in _parts(sorted(made)):
            rows = [
                {
                    "tenant_id": self._tenant_id,
                    "fingerprint": fingerprint,
                    "text_digest": digest,
                    "vector": np.asarray(made[digest], dtype=STORED).tobytes(),
                }
                for digest in part
            ]
            with self._store.writing() as connection:
                connection.execute(statement, rows)


def forget_vectors(
    connection: Connection, tenant_id: str, fingerprint: str, texts: Iterable[str]
) -> None:
    """In a transaction of the caller's. Whoever still needs one of them embeds it again."""
    of = vectors.c
    mine = (of.tenant_id == tenant_id) & (of.fingerprint == fingerprint)
    for part in _parts(sorted(map(text_digest, texts))):
        connection.execute(delete(vectors).where(mine, of.text_digest.in_(part)))


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]
