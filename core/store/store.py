"""The store as the faces see it: one object, each part of which stands in a file of its own."""

from typing import Self

from pydantic import SecretStr

from core.clock import Clock
from core.store.api_keys import ApiKeys
from core.store.decisions import Decisions
from core.store.documents import Documents
from core.store.engine import make_engine
from core.store.entity_events import EntityEvents
from core.store.feedback import FeedbackRows
from core.store.idempotency import Idempotency
from core.store.indexes import Indexes
from core.store.migrate import migrate
from core.store.registry import Registry
from core.store.releases import Releases
from core.store.reviews import Reviews
from core.store.scores import Scores
from core.store.vectors import Vectors


class Store(
    Decisions,
    FeedbackRows,
    Reviews,
    Idempotency,
    ApiKeys,
    Releases,
    Registry,
    Documents,
    Indexes,
    EntityEvents,
    Vectors,
    Scores,
):
    """Blocks, so that callers use threads, any number of which may share one store."""

    @classmethod
    def open(cls, url: str, clock: Clock, *, secret: SecretStr | None = None) -> Self:
        """Migrates to the newest schema. API keys need `secret`; the rest does without.

        Raises InvalidSettings for a URL or schema that is not ours, Unavailable where the database
        does not answer.
        """
        store = cls(make_engine(url), clock, secret)
        try:
            with store.writing() as connection:
                migrate(connection)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        self._engine.dispose()
