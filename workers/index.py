"""Builds the index of a corpus from what is ready, and puts it in force once it is verified."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder
from core.errors import InvalidDocument, RungError
from core.jobs import Job
from core.jobs.corpus_jobs import BUILD, corpus_of, earlier_build, enqueue_builds
from core.store import Store
from core.store.documents import CorpusContent, CorpusName, bump_revision, lock_corpus
from core.store.indexes import NewIndex, add_newer_index, newest_of_each
from workers.embedding import SharedEmbedder
from workers.runner import Done, NotYet, Report

if TYPE_CHECKING:
    from rankers.index import HybridIndex


class BuildIndex:
    kind = BUILD

    def __init__(self, store: Store, artifacts: ArtifactStore, embedder: SharedEmbedder) -> None:
        self._store = store
        self._artifacts = artifacts
        self._embedder = embedder

    def run(self, job: Job, report: Report) -> Done:
        embedder = self._embedder.opened()
        which = corpus_of(job.tenant_id, job.payload)
        if self._superseded(which, embedder.fingerprint, int(str(job.payload["revision"]))):
            return Done(result={"superseded": True})
        if earlier_build(self._store, job):
            # Its end may make this one needless; else this one takes what has changed by then.
            raise NotYet("another build of the same corpus is running")
        content = self._store.corpus_content(which.tenant_id, which.decision, which.corpus)
        if not content.documents:
            # The ids of what was deleted are hidden from the index in force, so nothing is found.
            raise InvalidDocument(
                "RUNG-CORPUS-EMPTY",
                f"the corpus '{which.corpus}' has no document left to index",
                way_out="Send one; until then nothing of this corpus is found.",
            )
        new, told = self._build(which, content, embedder, report)

        def effects(connection: Connection) -> None:
            now = self._store.now()
            revision = lock_corpus(connection, which, now)
            rows = newest_of_each(connection, which)
            joins = rows and all(row.fingerprint not in (None, new.fingerprint) for row in rows)
            add_newer_index(
                connection,
                which,
                new,
                revision=content.revision,
                through=content.deletions_through,
                now=now,
            )
            if joins and revision > content.revision:
                # Who changed the corpus meanwhile did not know of an embedder beside its own.
                revision = bump_revision(connection, which, now)  # a job that is surely not there
                enqueue_builds(
                    connection,
                    which,
                    revision,
                    priority=job.priority,
                    now=now,
                    fingerprint=new.fingerprint,
                )

        return Done(result=told, effects=effects)

    def failed(self, job: Job, reason: str) -> None:
        return None  # the index before stays in force

    def _superseded(self, which: CorpusName, fingerprint: str, revision: int) -> bool:
        current = self._store.current_indexes(which.tenant_id, which.decision, fingerprint)
        row = current.get(which.corpus)
        return row is not None and row.revision is not None and row.revision >= revision

    def _build(
        self,
        which: CorpusName,
        content: CorpusContent,
        embedder: TextEmbedder,
        report: Report,
    ) -> tuple[NewIndex, dict[str, Any]]:
        """The index, and what is to be told of it."""
        from rankers.corpora import build_index, chunks_of, compared, put_verified  # FAISS

        cache = self._store.vectors(which.tenant_id)
        built = build_index(chunks_of(content.documents), embedder, cache, progress=report)
        artifact, index, verification = put_verified(self._artifacts, which.tenant_id, built)
        told: dict[str, Any] = {"documents": len(content.documents), **verification}
        before = self._before(which, index.fingerprint)
        comparison = None if before is None else compared(before, index)
        if comparison is not None:
            told["compared"] = comparison
        new = NewIndex(artifact_id=artifact, fingerprint=index.fingerprint, report=told)
        return new, {"artifact": artifact, "revision": content.revision, **told}

    def _before(self, which: CorpusName, fingerprint: str) -> "HybridIndex | None":
        """What the new one takes the place of: this embedder's index or, where it has none yet,
        the newest of another's, which stays in force for that one."""
        from rankers.corpora import load_index

        rows = self._store.indexes_of(which.tenant_id, which.decision, which.corpus)
        own = [row for row in rows if row.fingerprint == fingerprint]
        for row in (own or rows)[:1]:
            try:
                return load_index(self._artifacts, which.tenant_id, row.artifact_id)
            except RungError:
                return None  # lost or of another version: there is nothing to compare with
        return None
