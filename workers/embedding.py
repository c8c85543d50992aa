"""The embedder of a worker: loaded at the first job that needs it, and told apart by its space."""

from collections.abc import Callable

from core.embedding import TextEmbedder
from core.errors import RungError, Unavailable
from core.jobs import Job
from workers.runner import NotForThisWorker


class SharedEmbedder:
    """One for all kinds of work of a process; loading is tried again by whoever asks next."""

    def __init__(self, load: Callable[[], TextEmbedder]) -> None:
        self._load = load
        self._loaded: TextEmbedder | None = None

    def for_job(self, job: Job) -> TextEmbedder:
        """Raises Unavailable where it does not load, and NotForThisWorker where the job is for
        another embedder."""
        embedder = self._opened()
        wanted = job.payload.get("fingerprint")
        if wanted not in (None, embedder.fingerprint):
            raise NotForThisWorker(
                f"RUNG-EMBEDDER-OTHER: it waits for a worker that embeds by {wanted}; one that "
                f"embeds by {embedder.fingerprint} gave it back. Start a worker with that "
                "RUNG_EMBEDDER, or cancel the job."
            )
        return embedder

    def _opened(self) -> TextEmbedder:
        if self._loaded is None:
            try:
                self._loaded = self._load()
            except RungError:
                raise
            except Exception as error:  # whatever a library raises where its files are not there
                raise Unavailable(
                    "RUNG-EMBEDDER-LOAD",
                    f"the embedder does not load ({type(error).__name__}: {error})",
                    way_out="Install it on the workers; then `rung jobs retry` the failed jobs.",
                ) from error
        return self._loaded
