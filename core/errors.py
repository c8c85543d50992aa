"""Every error that reaches a user: a stable code, an HTTP status and the way out.

RungError
├── InvalidDocument      a file or body that cannot be read as what it claims to be
├── InvalidFacts         a request whose facts cannot be decided on
├── InvalidRequest       any other request that cannot be carried out as it was sent
├── InvalidSettings      an environment that the process cannot start with
├── Unauthorized         no key, or one that is malformed, unknown, expired or revoked
├── Forbidden            a good key without the scope that the route asks for
├── NotFound             nothing of that id for this tenant
├── Conflict             the thing is in a state in which this cannot be done (now)
├── TooLarge             a body above the cap
├── BudgetExceeded       the day's money of a decision is spent (defined in core.money)
├── Overloaded           more work than can be admitted; come back after `retry_after` seconds
├── Unavailable          something this process needs does not answer
    └── CorruptArtifact  stored model files that are not what was put there
        └── ForeignArtifact  ... or were signed with another key
"""

from typing import ClassVar


class RungError(Exception):
    """Root of the tree. `code` is stable, `way_out` tells the user what to do next.

    `retryable` says whether the same request may succeed later; `retry_after` is in seconds.
    """

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        code: str,
        message: str,
        *,
        way_out: str,
        line: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.way_out = way_out
        self.line = line
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{self.code}: {where}{self.message}. {self.way_out}"


class InvalidDocument(RungError):
    status = 422


class InvalidFacts(RungError):
    status = 422


class InvalidRequest(RungError):
    status = 422


class InvalidSettings(RungError):
    """Met when a process starts, so it has no status of its own."""


class Unauthorized(RungError):
    status = 401


class Forbidden(RungError):
    status = 403


class NotFound(RungError):
    status = 404


class Conflict(RungError):
    """`retryable` where waiting helps: then `retry_after` says how long."""

    status = 409

    @property
    def retryable(self) -> bool:  # type: ignore[override]  # a claim expires, a resolution stays
        return self.retry_after is not None


class TooLarge(RungError):
    status = 413


class Overloaded(RungError):
    status = 503
    retryable = True


class Unavailable(RungError):
    status = 503
    retryable = True


class CorruptArtifact(Unavailable):
    """The same request fails until the artifact is restored or made again."""

    retryable = False


class ForeignArtifact(CorruptArtifact):
    """Nothing says that it is broken: another process, with another key, may read it."""
