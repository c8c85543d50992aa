"""Which index of a corpus is in force; versions are immutable and only ever follow one another."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from core.store.base import Base
from core.store.tables import indexes


class Indexes(Base):
    def register_index(self, tenant_id: str, decision: str, corpus: str, artifact_id: str) -> None:
        """Makes it current at once."""
        with self.writing() as connection:
            add_index(connection, tenant_id, decision, corpus, artifact_id, self.now())

    def current_index(self, tenant_id: str, decision: str, corpus: str) -> str | None:
        """The artifact's id; None where the corpus was never embedded."""
        return self.current_indexes(tenant_id, decision).get(corpus)

    def current_indexes(self, tenant_id: str, decision: str) -> dict[str, str]:
        """Corpus and artifact id of each of the decision's indexes."""
        mine = (indexes.c.tenant_id == tenant_id) & (indexes.c.decision == decision)
        newest = select(func.max(indexes.c.seq)).where(mine).group_by(indexes.c.corpus)
        statement = select(indexes.c.corpus, indexes.c.artifact_id).where(indexes.c.seq.in_(newest))
        with self.reading() as connection:
            rows = connection.execute(statement)
            return {row.corpus: row.artifact_id for row in rows}


def add_index(
    connection: Connection,
    tenant_id: str,
    decision: str,
    corpus: str,
    artifact_id: str,
    now: datetime,
) -> None:
    """In a transaction of the caller's, such as the one that finishes the job which made it."""
    connection.execute(
        indexes.insert().values(
            tenant_id=tenant_id,
            decision=decision,
            corpus=corpus,
            artifact_id=artifact_id,
            registered_at=now,
        )
    )
