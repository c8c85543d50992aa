"""What changes a corpus and the job that this causes are one transaction.

Locks are taken in one order everywhere: the row of the job that is finished, then the row of the
corpus, then its documents, then new jobs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from core.contracts import Json
from core.jobs.ledger import MAX_TRIES, JobLedger, enqueue
from core.store.base import Base
from core.store.documents import (
    CorpusName,
    NewDocument,
    Source,
    Written,
    bump_revision,
    deletions_through,
    insert_documents,
    insert_tombstones,
    live_marks,
    lock_corpus,
    make_ready,
    newest_marks,
)
from core.store.indexes import NewIndex, add_index, newest_index

EMBED, BUILD = "embed_documents", "build_index"  # kinds of jobs
# Priorities: one changed article does not wait for a million new ones. LAST is behind all of these,
# for a build that takes what the jobs before it embedded.
FRESH, BULK, LAST = 10, 0, -10
DOCUMENTS_A_JOB = 200  # some four seconds of embedding on two cores
CHARACTERS_A_JOB = 4_000_000  # what a batch of long documents may take of memory
TOGETHER = timedelta(seconds=1)  # what changes in this time is built into one index


@dataclass(frozen=True, kw_only=True, slots=True)
class Synced:
    accepted: int
    unchanged: int
    removed: int


def put_documents(
    store: Base,
    which: CorpusName,
    new: Sequence[NewDocument],
    *,
    source: Source,
    priority: int,
) -> Written:
    """One transaction and, for at most DOCUMENTS_A_JOB of them, one job; the same content again
    changes nothing."""
    now = store.now()
    with store.writing() as connection:
        written = insert_documents(connection, which, new, source=source, now=now)
        for seqs in batches(written.seqs):
            enqueue_embed(connection, which, seqs, priority=priority, now=now)
    return written


def remove_documents(
    store: Base, which: CorpusName, ids: Sequence[str], *, source: Source = "api"
) -> tuple[str, ...]:
    """Those that were there. From the commit on no answer may come from them."""
    now = store.now()
    with store.writing() as connection:
        lock_corpus(connection, which, now)
        gone = insert_tombstones(connection, which, ids, source=source, now=now)
        if gone:
            revision = bump_revision(connection, which, now)
            enqueue_build(connection, which, revision, priority=FRESH, now=now)
    return gone


def sync_folder(store: Base, which: CorpusName, folder: Sequence[NewDocument]) -> Synced:
    """The corpus holds the folder's documents, beside those that were sent over the API.

    Batch by batch: what is cut short goes on with the next call.
    """
    accepted = unchanged = 0
    for batch in document_batches(folder):
        written = put_documents(store, which, batch, source="folder", priority=BULK)
        accepted += written.accepted
        unchanged += written.unchanged
    with store.reading() as connection:
        vanished = _vanished(connection, which, folder)
    removed = remove_documents(store, which, vanished, source="folder") if vanished else ()
    return Synced(accepted=accepted, unchanged=unchanged, removed=len(removed))


def requeue_lost(store: Base, which: CorpusName) -> int:
    """Jobs for what failed, and for what waits although its job was cancelled. Returns the number
    of documents."""
    covered = {
        seq
        for job in JobLedger(store).open_jobs(which.tenant_id, EMBED)
        for seq in documents_of_job(job.payload)
    }
    now = store.now()
    with store.writing() as connection:
        marks = newest_marks(connection, which).values()
        lost = sorted(mark.seq for mark in marks if mark.state in ("waiting", "failed"))
        lost = [seq for seq in lost if seq not in covered]
        for seqs in batches(lost):
            enqueue_embed(connection, which, seqs, priority=BULK, now=now)
    return len(lost)


def promote_judged(
    connection: Connection,
    which: CorpusName,
    folder: Sequence[NewDocument],
    judged: NewIndex,
    now: datetime,
) -> bool:
    """Syncs the folder that training embedded, and puts its index in force if that holds exactly
    what the corpus does; else another is built. In the transaction that promotes the release."""
    revision = lock_corpus(connection, which, now)
    gone = insert_tombstones(
        connection, which, _vanished(connection, which, folder), source="folder", now=now
    )
    insert_documents(connection, which, folder, source="folder", now=now)
    wanted = {document.id: document.content_hash for document in folder}
    marks = newest_marks(connection, which, list(wanted)).values()
    embedded = [mark.seq for mark in marks if mark.content_hash == wanted[mark.id]]
    if make_ready(connection, which, embedded) or gone:
        revision = bump_revision(connection, which, now)
    live = {mark.id: mark.content_hash for mark in live_marks(connection, which).values()}
    current = newest_index(connection, which, judged.fingerprint)
    if live == wanted:
        through = deletions_through(connection, which)
        if current is None or current.artifact_id != judged.artifact_id:
            add_index(connection, which, judged, revision=revision, through=through, now=now)
        return True
    if current is None:  # better than none, until the first one is built
        add_index(connection, which, judged, revision=0, through=0, now=now)
    enqueue_build(connection, which, revision, priority=FRESH, now=now)
    return False


def enqueue_embed(
    connection: Connection,
    which: CorpusName,
    seqs: Sequence[int],
    *,
    priority: int,
    now: datetime,
    fingerprint: str | None = None,
    max_tries: int = MAX_TRIES,
) -> str:
    """With a `fingerprint` only a worker with that embedder does it; else any."""
    payload: dict[str, Json] = {**_told(which), "documents": list(seqs)}
    payload["fingerprint"] = fingerprint
    return enqueue(
        connection,
        tenant_id=which.tenant_id,
        kind=EMBED,
        payload=payload,
        content_hash=_digest(payload),
        now=now,
        priority=priority,
        max_tries=max_tries,
    )


def enqueue_build(
    connection: Connection,
    which: CorpusName,
    revision: int,
    *,
    priority: int,
    now: datetime,
    fingerprint: str | None = None,
) -> str:
    """Once for each revision; the first to run makes those of the revisions before needless."""
    payload: dict[str, Json] = {**_told(which), "revision": revision, "fingerprint": fingerprint}
    return enqueue(
        connection,
        tenant_id=which.tenant_id,
        kind=BUILD,
        payload=payload,
        content_hash=_digest(payload),
        now=now,
        priority=priority,
        wait=TOGETHER,
    )


def corpus_of(tenant_id: str, payload: Mapping[str, Json]) -> CorpusName:
    """Which corpus a job of these kinds is for."""
    return CorpusName(
        tenant_id=tenant_id, decision=str(payload["decision"]), corpus=str(payload["corpus"])
    )


def documents_of_job(payload: Mapping[str, Json]) -> list[int]:
    """The rows that a job of the kind EMBED is for."""
    seqs = payload["documents"]
    assert isinstance(seqs, list)  # as enqueue_embed wrote it
    return [int(str(seq)) for seq in seqs]


def document_batches(new: Iterable[NewDocument]) -> Iterator[list[NewDocument]]:
    """Each small enough for one transaction and one job."""
    batch: list[NewDocument] = []
    size = 0
    for document in new:
        batch.append(document)
        size += len(document.text)
        if len(batch) == DOCUMENTS_A_JOB or size >= CHARACTERS_A_JOB:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def batches(seqs: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(seqs)
    while batch := list(islice(rest, DOCUMENTS_A_JOB)):
        yield batch


def _vanished(
    connection: Connection, which: CorpusName, folder: Sequence[NewDocument]
) -> list[str]:
    kept = {document.id for document in folder}
    return [
        mark.id
        for mark in newest_marks(connection, which).values()
        if mark.source == "folder" and mark.state != "deleted" and mark.id not in kept
    ]


def _told(which: CorpusName) -> dict[str, Json]:
    return {"decision": which.decision, "corpus": which.corpus}


def _digest(payload: Mapping[str, Json]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
