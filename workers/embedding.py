"""The embedder of a worker: loaded at the first job that needs it, and told apart by its space."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from core.embedding import TextEmbedder, not_loaded
from core.errors import RungError, Unavailable

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)
LOG = logging.getLogger("rung.workers")


class SharedEmbedder:
    """One for all kinds of work of a process. While it does not load, this worker is not `ready`:
    it would fail the whole queue in seconds, and be the first to claim beside those that can."""

    def __init__(
        self,
        load: Callable[[], TextEmbedder],
        *,
        fingerprint: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        """`fingerprint` tells that of what `load` returns, before it is loaded."""
        self._load = load
        self._tell = fingerprint
        self._now = now
        self._loaded: TextEmbedder | None = None
        self._told: str | None = None
        self._silent = False
        self._pause = FIRST_PAUSE
        self._ready_at: datetime | None = None

    @property
    def ready(self) -> bool:
        """Whether a job that needs it may be claimed: always, but for a pause after a failure."""
        return self._ready_at is None or self._now() >= self._ready_at

    @property
    def fingerprint(self) -> str | None:
        """None where its files cannot be read, so that no job is known to be for it."""
        if self._told is None:
            try:
                self._told = self._tell()
            except Exception as error:  # whatever a library raises where its files are not there
                if not self._silent:
                    LOG.warning("the embedder does not tell its fingerprint: %s", error)
                self._silent = True
        return self._told

    def opened(self) -> TextEmbedder:
        """Raises Unavailable, whatever the reason: another worker may have what this one lacks."""
        if self._loaded is None:
            try:
                self._loaded = self._load()
            except Exception as error:
                raise self._unavailable(error) from error
            self._pause, self._ready_at = FIRST_PAUSE, None
        return self._loaded

    def _unavailable(self, error: Exception) -> Unavailable:
        pause = self._pause
        self._ready_at = self._now() + pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        seconds = pause.total_seconds()
        LOG.warning("no job that embeds is claimed for %g s: %s", seconds, error)
        told = error if isinstance(error, RungError) else not_loaded(error)
        return Unavailable(told.code, told.message, way_out=told.way_out)
