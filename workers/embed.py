"""Embeds documents: their vectors are kept, and they are searched once the next index is built."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from core.contracts import Json
from core.embedding import TextEmbedder
from core.errors import RungError
from core.jobs import Job
from core.jobs.corpus_jobs import (
    EMBED,
    corpus_of,
    documents_of_job,
    enqueue_builds,
    enqueue_embed,
)
from core.jobs.job import LeaseLost
from core.store import Store
from core.store.documents import (
    StoredDocument,
    bump_revision,
    lock_corpus,
    make_ready,
    mark_failed,
)
from workers.embedding import SharedEmbedder
from workers.runner import Done, Report

TRIES_TOGETHER = 2  # then each document is a job of its own, so that a bad one fails alone
TRIES_ALONE = 3


class EmbedDocuments:
    kind = EMBED

    def __init__(self, store: Store, embedder: SharedEmbedder) -> None:
        self._store = store
        self._embedder = embedder

    def run(self, job: Job, report: Report) -> Done:
        embedder = self._embedder.opened()  # first: it is no document's fault where it fails
        rows = self._store.document_rows(job.tenant_id, documents_of_job(job.payload))
        rows = tuple(row for row in rows if row.state != "deleted")
        if len(rows) > 1 and job.tries > TRIES_TOGETHER:
            return self._split(job, rows)
        try:
            result = self._embed(job, rows, embedder, report)
        except LeaseLost:
            raise
        except RungError as error:
            if error.retryable or len(rows) < 2:
                raise
            return self._split(job, rows)
        own = embedder.fingerprint
        return Done(result=result, effects=lambda connection: self._finish(connection, job, own))

    def failed(self, job: Job, reason: str) -> Callable[[Connection], None]:
        return lambda connection: mark_failed(
            connection, job.tenant_id, documents_of_job(job.payload), reason
        )

    def _embed(
        self,
        job: Job,
        rows: Sequence[StoredDocument],
        embedder: TextEmbedder,
        report: Report,
    ) -> dict[str, Json]:
        from rankers.corpora import chunks_of, embed_chunks  # FAISS, at the first job only

        chunks = chunks_of(rows)
        embed_chunks(chunks, embedder, self._store.vectors(job.tenant_id), progress=report)
        return {"documents": len(rows), "chunks": len(chunks)}

    def _finish(self, connection: Connection, job: Job, own: str) -> None:
        """They are searched from the next index on, which waits for what else soon changes; beside
        it that of each other embedder, whose build embeds what it lacks."""
        which, now = corpus_of(job.tenant_id, job.payload), self._store.now()
        lock_corpus(connection, which, now)
        if make_ready(connection, which, documents_of_job(job.payload)):
            revision = bump_revision(connection, which, now)
            enqueue_builds(
                connection, which, revision, priority=job.priority, now=now, fingerprint=own
            )

    def _split(self, job: Job, rows: Sequence[StoredDocument]) -> Done:
        which = corpus_of(job.tenant_id, job.payload)

        def effects(connection: Connection) -> None:
            for row in rows:
                enqueue_embed(
                    connection,
                    which,
                    [row.seq],
                    priority=job.priority,
                    now=self._store.now(),
                    fingerprint=job.needs,
                    max_tries=TRIES_ALONE,
                )

        return Done(result={"split_into": len(rows)}, effects=effects)
