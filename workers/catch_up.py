"""Hands an embedder what its indexes lack, so that a new one is built beside the one in force."""

from core.embedding import TextEmbedder, text_digest
from core.jobs.corpus_jobs import BULK, LAST, batches, enqueue_build, enqueue_embed
from core.store import Store
from core.store.documents import CorpusName, StoredDocument


def catch_up(store: Store, which: CorpusName, embedder: TextEmbedder) -> bool:
    """Whether there was anything to do: jobs for the documents without vectors of this embedder
    and, behind them, one that builds the index. Another embedder's index stays in force for it."""
    state = store.corpus_state(which.tenant_id, which.decision, which.corpus)
    current = store.current_indexes(which.tenant_id, which.decision, embedder.fingerprint)
    row = current.get(which.corpus)
    if not state.documents["ready"]:
        return False  # what waits brings its own build
    if row is not None and row.revision is not None and row.revision >= state.revision:
        return False
    lacking = _without_vectors(store, which, embedder)
    now, fingerprint = store.now(), embedder.fingerprint
    with store.writing() as connection:
        for seqs in batches(lacking):
            enqueue_embed(connection, which, seqs, priority=BULK, now=now, fingerprint=fingerprint)
        enqueue_build(
            connection, which, state.revision, priority=LAST, now=now, fingerprint=fingerprint
        )
    return True


def _without_vectors(store: Store, which: CorpusName, embedder: TextEmbedder) -> list[int]:
    content = store.corpus_content(which.tenant_id, which.decision, which.corpus)
    digests = {row.seq: _digests(row) for row in content.documents}
    every = [digest for some in digests.values() for digest in some]
    known = store.vectors(which.tenant_id).known(embedder.fingerprint, every)
    return [seq for seq, some in digests.items() if any(d not in known for d in some)]


def _digests(row: StoredDocument) -> list[str]:
    from rankers.corpora import chunks_of

    return [text_digest(chunk.whole) for chunk in chunks_of([row])]
