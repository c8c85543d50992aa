"""What changes a corpus and the job that this causes are one transaction.

Locks are taken in one order everywhere: the row of the job that is finished, then the row of the
corpus, then its documents, then new jobs. Under the lock of a corpus nobody waits for the row of
a job that is there already: whoever holds it may be the one that waits for the corpus.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select, update

from core.contracts import Json
from core.jobs.job import Job, read_job
from core.jobs.job_rows import IS_OPEN, of_tenant
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
from core.store.indexes import IndexRow, NewIndex, add_index, newest_index, newest_of_each
from core.store.tables import jobs

EMBED, BUILD = "embed_documents", "build_index"  # kinds of jobs
# Priorities: one changed article does not wait for a million new ones. LAST is behind all of these,
# for a build that takes what the jobs before it embedded.
FRESH, BULK, LAST = 10, 0, -10
DOCUMENTS_A_JOB = 200  # some four seconds of embedding on two cores
CHARACTERS_A_JOB = 4_000_000  # what a batch of long documents may take of memory
TOGETHER = timedelta(seconds=1)  # what changes in this time is built into one index
EMBEDDERS = 2  # side by side in a cut-over; a third one's index is an old one
ABANDONED = timedelta(days=30)  # an embedder that falls behind for so long has no worker any more
# One that failed is not moved on: what changed since has a job with all its tries.
_UNTRIED = and_(jobs.c.state == "queued", jobs.c.tries == 0)


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
            enqueue_builds(connection, which, revision, priority=FRESH, now=now)
    return gone


def sync_folder(
    store: Base,
    which: CorpusName,
    folder: Sequence[NewDocument],
    *,
    unread: Collection[str] = (),
) -> Synced:
    """The corpus holds the folder's documents, beside those that were sent over the API.

    `unread` are ids that the folder has though they could not be read: they stay as they are.
    Batch by batch: what is cut short goes on with the next call.
    """
    accepted = unchanged = 0
    for batch in document_batches(folder):
        written = put_documents(store, which, batch, source="folder", priority=BULK)
        accepted += written.accepted
        unchanged += written.unchanged
    with store.reading() as connection:
        vanished = [name for name in _vanished(connection, which, folder) if name not in unread]
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
    changed = make_ready(connection, which, embedded) > 0 or bool(gone)
    if changed:
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
    if not changed:
        # The build of the same revision may be ending: its row is locked, and whoever locked it
        # waits for the corpus. To ask for that one again would wait for its row: a deadlock.
        revision = bump_revision(connection, which, now)
    own = judged.fingerprint
    enqueue_builds(connection, which, revision, priority=FRESH, now=now, fingerprint=own)
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
    return enqueue(
        connection,
        tenant_id=which.tenant_id,
        kind=EMBED,
        payload=payload,
        content_hash=_digest(payload, fingerprint),
        now=now,
        needs=fingerprint,
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
    payload: dict[str, Json] = {**_told(which), "revision": revision}
    return enqueue(
        connection,
        tenant_id=which.tenant_id,
        kind=BUILD,
        payload=payload,
        content_hash=_digest(payload, fingerprint),
        now=now,
        needs=fingerprint,
        priority=priority,
        wait=TOGETHER,
    )


def enqueue_builds(
    connection: Connection,
    which: CorpusName,
    revision: int,
    *,
    priority: int,
    now: datetime,
    fingerprint: str | None = None,
) -> None:
    """For `fingerprint`, whose worker asks, and for each other embedder that is kept up beside it.

    The caller holds the lock of the corpus and has just made the revision, so no job of it is
    there. A build that waits already is moved on to it, so that however fast a corpus changes one
    job waits for each embedder, as old as the oldest change that it lacks.
    """
    waiting = waiting_builds(connection, which)
    kept = kept_up(newest_of_each(connection, which), waiting, now)
    alone = fingerprint is None and len(kept) < 2
    for one in sorted({None} if alone else {*kept, fingerprint} - {None}, key=str):
        if not _moved_on(connection, which, waiting.get(one), revision, priority):
            enqueue_build(connection, which, revision, priority=priority, now=now, fingerprint=one)


def open_build(connection: Connection, which: CorpusName, fingerprint: str) -> bool:
    """Whether one for this embedder waits or is being done."""
    return any(job.needs == fingerprint for job in _builds(connection, which, IS_OPEN))


def earlier_build(store: Base, job: Job) -> bool:
    """Whether a claim that is alive and came before `job`'s builds the same index.

    A build that is anybody's may be for any embedder. Claims have an order, so that of two builds
    never both wait for the other.
    """
    alive = and_(jobs.c.state == "running", jobs.c.due_at > store.now())
    with store.reading() as connection:
        others = _builds(connection, corpus_of(job.tenant_id, job.payload), IS_OPEN & alive)
    return any(
        (other.started_at, other.id) < (job.started_at, job.id)
        for other in others
        if other.needs is None or job.needs in (None, other.needs)
    )


def kept_up(
    newest: Sequence[IndexRow], waiting: Mapping[str | None, Job], now: datetime
) -> tuple[str, ...]:
    """Of the EMBEDDERS whose indexes were registered last, those that follow the corpus: its index
    is of the last revision that any holds, or it was or has been asked for within ABANDONED."""
    rows = [row for row in newest if row.fingerprint is not None][:EMBEDDERS]
    last = max((row.revision or 0 for row in rows), default=0)
    since = now - ABANDONED
    return tuple(
        str(row.fingerprint)
        for row in rows
        if (row.revision or 0) >= last
        or row.registered_at >= since
        or ((job := waiting.get(str(row.fingerprint))) and job.created_at >= since)
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


def waiting_builds(connection: Connection, which: CorpusName) -> dict[str | None, Job]:
    """The oldest that nobody has tried, by embedder."""
    untried = _builds(connection, which, IS_OPEN & _UNTRIED)
    return {job.needs: job for job in reversed(untried)}


def _builds(connection: Connection, which: CorpusName, of: ColumnElement[bool]) -> list[Job]:
    """Of a corpus, the oldest first."""
    mine = (jobs.c.tenant_id == which.tenant_id) & (jobs.c.kind == BUILD)
    oldest_first = select(jobs).where(mine, of).order_by(jobs.c.created_at, jobs.c.id)
    found = map(read_job, connection.execute(oldest_first))
    return [job for job in found if corpus_of(which.tenant_id, job.payload) == which]


def _moved_on(
    connection: Connection, which: CorpusName, job: Job | None, revision: int, priority: int
) -> bool:
    """Whether it still waits. A row that another transaction holds is passed over: it is being
    claimed, and to wait for it under the lock of the corpus could be for ever."""
    if job is None:
        return False
    waits = of_tenant(which.tenant_id, job.id) & _UNTRIED
    if connection.execute(select(jobs.c.id).where(waits).with_for_update(skip_locked=True)).first():
        payload: dict[str, Json] = {**job.payload, "revision": revision}
        values: dict[str, Any] = {"payload": payload, "content_hash": _digest(payload, job.needs)}
        values |= {"priority": max(job.priority, priority)}
        return connection.execute(update(jobs).where(waits).values(values)).rowcount == 1
    return False


def _told(which: CorpusName) -> dict[str, Json]:
    return {"decision": which.decision, "corpus": which.corpus}


def _digest(payload: Mapping[str, Json], fingerprint: str | None) -> str:
    return hashlib.sha256(json.dumps([payload, fingerprint], sort_keys=True).encode()).hexdigest()
