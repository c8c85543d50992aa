"""Time is a port: what depends on it takes a Clock, so that a test can pin it."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, with the UTC time zone."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)
