"""A model that keeps failing is left alone for a while: waiting for it costs every request."""

from datetime import datetime, timedelta

from core.clock import Clock

FAILURES_TO_OPEN = 5
PAUSE = timedelta(seconds=30)


class CircuitBreaker:
    """Opens after so many failures in a row, then admits one probe a pause until one succeeds."""

    def __init__(
        self, clock: Clock, *, failures_to_open: int = FAILURES_TO_OPEN, pause: timedelta = PAUSE
    ) -> None:
        self._clock = clock
        self._failures_to_open = failures_to_open
        self._pause = pause
        self._failures = 0
        self._next_probe: datetime | None = None  # None: closed

    def admits(self) -> bool:
        """Whether a call may go out now. A yes while open is the probe of this pause."""
        if self._next_probe is None:
            return True
        now = self._clock.now()
        # A clock set back must not keep the breaker open for longer than a pause.
        if self._next_probe - self._pause <= now < self._next_probe:
            return False
        self._next_probe = now + self._pause
        return True

    def succeeded(self) -> None:
        self._failures = 0
        self._next_probe = None

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._failures_to_open:
            self._next_probe = self._clock.now() + self._pause
