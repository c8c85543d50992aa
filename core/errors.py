"""Every error that reaches a user: a stable code, an HTTP status and the way out.

RungError
├── InvalidDocument   a file or body that cannot be read as what it claims to be
└── InvalidFacts      a request whose facts cannot be decided on
"""

from typing import ClassVar


class RungError(Exception):
    """Root of the tree. `code` is stable, `way_out` tells the user what to do next."""

    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, code: str, message: str, *, way_out: str, line: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.way_out = way_out
        self.line = line

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{self.code}: {where}{self.message}. {self.way_out}"


class InvalidDocument(RungError):
    status = 422


class InvalidFacts(RungError):
    status = 422
