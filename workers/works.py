"""Every kind of job that a worker can do."""

from collections.abc import Callable, Sequence

from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder
from core.settings import Settings
from core.store import Store
from workers.embed import EmbedDocuments
from workers.embedding import SharedEmbedder
from workers.index import BuildIndex
from workers.runner import Work
from workers.score import ScoreTable

Works = Callable[[Settings, Store], Sequence[Work]]


def every_work(settings: Settings, store: Store) -> tuple[Work, ...]:
    """With the embedder and the artifacts of production."""
    forks = settings.worker_pool == "prefork"

    def embedder() -> TextEmbedder:
        from rankers.open_embedder import open_embedder  # at the first job and not before

        threads = 1 if forks else None
        return open_embedder(settings.embedder, threads=threads, models=settings.home / "models")

    return works_with(settings, store, embedder)


def works_with(
    settings: Settings, store: Store, embedder: Callable[[], TextEmbedder]
) -> tuple[Work, ...]:
    """`embedder` loads one, at the first job that needs it."""
    artifacts = ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())
    shared = SharedEmbedder(embedder)
    return (
        EmbedDocuments(store, shared),
        BuildIndex(store, artifacts, shared),
        ScoreTable(store, artifacts, settings.secret),
    )
