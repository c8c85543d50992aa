"""What the HTTP face needs of the rest: something that decides, and the store that remembers."""

from collections.abc import Sequence
from typing import Protocol

from core.contracts import Decision
from core.spec import DecisionSpec
from core.store import Claim, Store


class Readiness(Protocol):
    @property
    def store(self) -> bool:
        """Whether it answers."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether each live decision has been loaded; one that comes later does not undo it."""
        ...

    @property
    def newest(self) -> bool:
        """Whether each answers as it is newest."""
        ...


class Service(Protocol):
    """`names` and `ready` may block, so they are asked in a thread; the others are awaited."""

    @property
    def store(self) -> Store: ...

    def names(self, tenant_id: str) -> Sequence[str]: ...

    async def spec(self, tenant_id: str, name: str, release: str | None = None) -> DecisionSpec:
        """Of the live release, or of an earlier one. Raises NotFound, and Unavailable where the
        release's files are gone."""
        ...

    async def decide(
        self, tenant_id: str, name: str, facts: object, *, idempotency: Claim | None = None
    ) -> Decision:
        """The decision, recorded with its claim completed. Raises InvalidFacts and NotFound."""
        ...

    async def model_reads(self, tenant_id: str, name: str, facts: object) -> str | None:
        """The digest of what the model would read of these facts; None where it is not asked.

        Raises InvalidFacts and NotFound.
        """
        ...

    async def warm(self) -> None:
        """Loads what every decision needs and is not loaded yet; called again and again."""
        ...

    async def close(self) -> None:
        """Lets go of what it holds, once no request is under way."""
        ...

    def ready(self) -> Readiness: ...
