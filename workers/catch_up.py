"""Hands an embedder what its indexes lack: a new one, what a build that failed left behind, and
what is lost or of a version that this one does not read.

A corpus that changes asks for its own build. So this is for what no change will mend, and a worker
looks after its embedder's indexes from time to time.
"""

import logging
from collections.abc import Callable

from core.artifacts import ArtifactStore
from core.embedding import text_digest
from core.errors import CorruptArtifact, ForeignArtifact, InvalidDocument, NotFound, RungError
from core.jobs.corpus_jobs import (
    BULK,
    LAST,
    batches,
    enqueue_build,
    enqueue_builds,
    enqueue_embed,
    open_build,
)
from core.store import Store
from core.store.documents import (
    CorpusName,
    StoredDocument,
    bump_revision,
    every_corpus,
    lock_corpus,
)
from core.store.indexes import IndexRow, newest_index

CATCH_UP_S = 600.0  # a build that always fails takes its five tries no more often
LOG = logging.getLogger("rung.workers")


class CatchUp:
    """For each corpus that is searched by this worker's embedder, or not yet by any: one build at
    most in each run, however often it fails."""

    def __init__(
        self, store: Store, artifacts: ArtifactStore, fingerprint: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._fingerprint = fingerprint
        self._read: set[str] = set()  # what was read whole once is only looked for afterwards

    def run(self) -> None:
        fingerprint = self._fingerprint()
        if fingerprint is None:
            return
        there = self._artifacts.tenants()
        for which in every_corpus(self._store):
            rows = self._store.indexes_of(which.tenant_id, which.decision, which.corpus)
            if rows and all(row.fingerprint not in (None, fingerprint) for row in rows):
                continue  # `rung embed` begins a cut-over, and no worker by itself
            if rows and which.tenant_id not in there:
                LOG.warning(
                    "no artifact of tenant %s is there: mount their folder; if it is lost, "
                    "`rung embed` builds its indexes again",
                    which.tenant_id,
                )
                continue  # beneath a mount point nobody would find what is built
            try:
                if catch_up(self._store, self._artifacts, which, fingerprint, read=self._read):
                    LOG.warning("the index of %s/%s is built again", which.decision, which.corpus)
            except RungError as error:  # one tenant's folder is in no other's way
                LOG.warning(
                    "no look at the index of %s/%s: %s", which.decision, which.corpus, error
                )


def catch_up(
    store: Store,
    artifacts: ArtifactStore,
    which: CorpusName,
    fingerprint: str,
    *,
    read: set[str] | None = None,
) -> bool:
    """Whether anything was to be done: jobs for the documents without vectors of this embedder
    and, behind them, one that builds the index. Another embedder's index stays in force for it.

    `read` holds the artifacts that are known to be readable, and gets those that were read.
    """
    with store.reading() as connection:
        row = newest_index(connection, which, fingerprint)
        waits = open_build(connection, which, fingerprint)
    state = store.corpus_state(which.tenant_id, which.decision, which.corpus)
    if waits or not state.documents["ready"]:
        return False  # what waits to be embedded brings its own build
    read = set() if read is None else read
    lost = row is not None and _is_lost(artifacts, which.tenant_id, row, fingerprint, read)
    if row is not None and (row.revision or 0) >= state.revision and not lost:
        return False
    lacking = _without_vectors(store, which, fingerprint)
    now = store.now()
    with store.writing() as connection:
        for seqs in batches(lacking):
            enqueue_embed(connection, which, seqs, priority=BULK, now=now, fingerprint=fingerprint)
    return _ask(store, which, fingerprint, row if lost else None)


def _ask(store: Store, which: CorpusName, fingerprint: str, lost: IndexRow | None) -> bool:
    """For a build, unless somebody else has: under the lock of the corpus one of many does."""
    now = store.now()
    with store.writing() as connection:
        revision = lock_corpus(connection, which, now)
        row = newest_index(connection, which, fingerprint)
        if open_build(connection, which, fingerprint):
            return False
        if row is None or (row.revision or 0) < revision:
            enqueue_build(
                connection, which, revision, priority=LAST, now=now, fingerprint=fingerprint
            )
            return True
        if lost is None or row.seq != lost.seq:
            return False
        revision = bump_revision(connection, which, now)  # an index of this one is there
        enqueue_builds(connection, which, revision, priority=LAST, now=now, fingerprint=fingerprint)
        return True


def _is_lost(
    artifacts: ArtifactStore, tenant_id: str, row: IndexRow, fingerprint: str, read: set[str]
) -> bool:
    """Never what another key has signed: with two values of RUNG_SECRET, workers would build in
    turn what the other one refuses. Nor what cannot be reached just now."""
    from rankers.corpora import load_index  # FAISS, at the first look and not before
    from rankers.indexed_texts import INDEX

    try:
        artifacts.get(tenant_id, row.artifact_id, INDEX, only=())
        if row.artifact_id not in read:
            load_index(artifacts, tenant_id, row.artifact_id, fingerprint=fingerprint)
            read.add(row.artifact_id)
    except (NotFound, CorruptArtifact, InvalidDocument) as error:
        lost = not isinstance(error, ForeignArtifact)
        LOG.warning("an index %s: %s", "is lost" if lost else "is left alone", error)
        return lost
    return False


def _without_vectors(store: Store, which: CorpusName, fingerprint: str) -> list[int]:
    content = store.corpus_content(which.tenant_id, which.decision, which.corpus)
    digests = {row.seq: _digests(row) for row in content.documents}
    every = [digest for some in digests.values() for digest in some]
    known = store.vectors(which.tenant_id).known(fingerprint, every)
    return [seq for seq, some in digests.items() if any(d not in known for d in some)]


def _digests(row: StoredDocument) -> list[str]:
    from rankers.corpora import chunks_of

    return [text_digest(chunk.whole) for chunk in chunks_of([row])]
