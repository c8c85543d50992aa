"""A corpus with the works of production over any store: documents in, jobs run here, index out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.artifacts import ArtifactStore
from core.embedding import FloatArray, TextEmbedder
from core.jobs import Job, JobLedger
from core.jobs.corpus_jobs import BULK, FRESH, put_documents, remove_documents
from core.store import Store
from core.store.documents import CorpusName, NewDocument
from core.store.indexes import IndexRow
from rankers.corpora import build_index, chunks_of, load_index
from rankers.documents import Document
from rankers.index import HybridIndex
from tests.fakes.clock import FixedClock
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.vector_cache import MemoryVectors
from workers.embed import EmbedDocuments
from workers.embedding import SharedEmbedder
from workers.index import BuildIndex
from workers.runner import JobRunner

WHICH = CorpusName(tenant_id="acme", decision="support", corpus="corpus")
PLACE = (WHICH.tenant_id, WHICH.decision, WHICH.corpus)
POISON = "poison"


class PoisonedEmbedder(HashingEmbedder):
    """Raises `error` for a batch in which any text holds the word POISON."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def encode(self, texts: Sequence[str]) -> FloatArray:
        if any(POISON in text for text in texts):
            raise self._error
        return super().encode(texts)


class CorpusWorld:
    """The clock stands still but for `run`, which moves it on to whatever is due next."""

    def __init__(
        self,
        store: Store,
        clock: FixedClock,
        folder: Path,
        embedder: Callable[[], TextEmbedder] = HashingEmbedder,
    ) -> None:
        self.store = store
        self.clock = clock
        self.ledger = JobLedger(store)
        self.artifacts = ArtifactStore(folder / "artifacts", b"key")
        self.runner = self.runner_of(embedder)

    def shared(self, embedder: Callable[[], TextEmbedder] = HashingEmbedder) -> SharedEmbedder:
        return SharedEmbedder(
            embedder, fingerprint=lambda: embedder().fingerprint, now=self.store.now
        )

    def runner_of(self, embedder: Callable[[], TextEmbedder]) -> JobRunner:
        return self.runner_with(self.shared(embedder))

    def runner_with(self, shared: SharedEmbedder) -> JobRunner:
        works = (
            EmbedDocuments(self.store, shared),
            BuildIndex(self.store, self.artifacts, shared),
        )
        return JobRunner(self.store, works, embedder=shared)

    def put(self, documents: dict[str, str], *, priority: int = FRESH) -> None:
        new = [NewDocument(id=name, title=name, text=text) for name, text in documents.items()]
        put_documents(self.store, WHICH, new, source="api", priority=priority)

    def put_bulk(self, documents: dict[str, str]) -> None:
        self.put(documents, priority=BULK)

    def delete(self, *names: str) -> None:
        remove_documents(self.store, WHICH, names)

    def run(self, runner: JobRunner | None = None, *, most: int = 500) -> None:
        """Until no job is open."""
        runner = runner or self.runner
        for _ in range(most):
            if not self.ledger.open_count():
                return
            if not runner.run_next():
                self.clock.advance(seconds=1)
                runner.sweep()
        raise AssertionError("jobs are open for ever")

    def jobs(self, kind: str) -> list[Job]:
        """The oldest first."""
        return list(reversed(self.ledger.jobs(WHICH.tenant_id, limit=500, kind=kind)))

    def row(self, fingerprint: str = HashingEmbedder().fingerprint) -> IndexRow | None:
        rows = self.store.current_indexes(WHICH.tenant_id, WHICH.decision, fingerprint)
        return rows.get(WHICH.corpus)

    def index(self, fingerprint: str = HashingEmbedder().fingerprint) -> HybridIndex:
        row = self.row(fingerprint)
        assert row is not None
        return load_index(self.artifacts, WHICH.tenant_id, row.artifact_id, fingerprint=fingerprint)

    def held(self) -> dict[str, str]:
        """What the index in force holds of each document; each chunk's document once."""
        texts: dict[str, str] = {}
        for chunk in self.index().chunks:
            assert chunk.document not in texts
            texts[chunk.document] = chunk.text
        return texts

    def states(self) -> dict[str, int]:
        counts = self.store.corpus_state(*PLACE).documents
        return {state: n for state, n in counts.items() if n}


def undisturbed(documents: dict[str, str], embedder: TextEmbedder | None = None) -> HybridIndex:
    """The index of these documents, built at once and by nobody's job."""
    given = [Document(id=name, title=name, text=text) for name, text in documents.items()]
    return build_index(chunks_of(given), embedder or HashingEmbedder(), MemoryVectors())
