"""Every kind of job that a worker can do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder
from core.settings import Settings
from core.store import Store
from workers.embed import EmbedDocuments
from workers.embedding import SharedEmbedder
from workers.index import BuildIndex
from workers.runner import Work
from workers.score import ScoreTable


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a worker can do, and the embedder that it does some of it with."""

    works: Sequence[Work]
    embedder: SharedEmbedder | None = None


Works = Callable[[Settings, Store], Workshop]


def every_work(settings: Settings, store: Store) -> Workshop:
    """With the embedder and the artifacts of production."""
    forks = settings.worker_pool == "prefork"

    def embedder() -> TextEmbedder:
        from rankers.open_embedder import open_embedder  # at the first job and not before

        threads = 1 if forks else None
        return open_embedder(settings.embedder, threads=threads, models=settings.models)

    def fingerprint() -> str:
        from rankers.open_embedder import fingerprint_of

        return fingerprint_of(settings.embedder)

    return works_with(settings, store, embedder, fingerprint)


def works_with(
    settings: Settings,
    store: Store,
    embedder: Callable[[], TextEmbedder],
    fingerprint: Callable[[], str],
) -> Workshop:
    """`embedder` loads one, at the first job that needs it; `fingerprint` tells its, before."""
    artifacts = ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())
    shared = SharedEmbedder(embedder, fingerprint=fingerprint, now=store.now)
    works = (
        EmbedDocuments(store, shared),
        BuildIndex(store, artifacts, shared),
        ScoreTable(store, artifacts, settings.secret),
    )
    return Workshop(works=works, embedder=shared)
