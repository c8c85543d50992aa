"""The documents of a corpus: a row for each version, of which the newest embedded one is searched.

    waiting ──embedded──► ready          a document's older rows go when a newer one is ready
       └──its job failed──► failed
    deleted: a tombstone; no text of the document is left beside it, nor an earlier tombstone

`corpora.revision` grows with whatever changes what an index would hold, under the lock of that row.
So the tombstones that a reader sees are all those up to one `seq`, and an index says by that number
which deletions it knows of.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from core.errors import NotFound
from core.store.base import Base, insert_new
from core.store.forget import forget
from core.store.tables import NOTE_LENGTH, corpora, documents

T = TypeVar("T")
Source = Literal["folder", "api"]
DocumentState = Literal["waiting", "ready", "failed", "deleted"]
STATES: tuple[DocumentState, ...] = ("waiting", "ready", "failed", "deleted")
SETTLED = ("ready", "deleted")  # what is embedded, and what is gone
MARKED = tuple(documents.c[name] for name in ("seq", "document", "content_hash", "source", "state"))
MOST_AT_ONCE = 1_000  # values a statement: SQLite admits 32,766 parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusName:
    """Whose corpus of which decision."""

    tenant_id: str
    decision: str
    corpus: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDocument:
    id: str
    title: str
    text: str

    @property
    def content_hash(self) -> str:
        content = f"{self.title}\0{self.text}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One row without its text, of which there may be many megabytes."""

    seq: int
    id: str
    content_hash: str
    source: Source
    state: DocumentState


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDocument(Mark):
    """One row. `reason` says why it failed."""

    title: str
    text: str
    reason: str | None
    written_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentLine:
    """What is listed of a document: all but its text."""

    id: str
    title: str
    state: DocumentState
    reason: str | None
    source: Source
    written_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusState:
    """`documents` counts each document once, by its newest row."""

    revision: int
    changed_at: datetime | None
    documents: Mapping[DocumentState, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusContent:
    """What an index of `revision` holds. It knows of every tombstone up to `deletions_through`."""

    revision: int
    deletions_through: int
    documents: tuple[StoredDocument, ...]  # by id


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    seqs: tuple[int, ...]
    accepted: int
    unchanged: int


class Documents(Base):
    def corpus_state(self, tenant_id: str, decision: str, corpus: str) -> CorpusState:
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        newest = _newest(_of(which))
        counting = select(documents.c.state, func.count()).where(documents.c.seq.in_(newest))
        with self.reading() as connection:
            head = connection.execute(_head(which)).first()
            counted = connection.execute(counting.group_by(documents.c.state)).all()
        counts = {state: count for state, count in counted}
        return CorpusState(
            revision=head.revision if head else 0,
            changed_at=head.changed_at if head else None,
            documents={state: counts.get(state, 0) for state in STATES},
        )

    def corpus_content(self, tenant_id: str, decision: str, corpus: str) -> CorpusContent:
        """The newest ready version of each document that is not deleted.

        Revision and tombstones are read first: what is committed in between is in it too soon,
        and is never taken for known while it is missing.
        """
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        with self.reading() as connection:
            head = connection.execute(_head(which)).first()
            through = deletions_through(connection, which)
            rows = connection.execute(_live(which, documents)).all()
        return CorpusContent(
            revision=head.revision if head else 0,
            deletions_through=through,
            documents=tuple(_document(row) for row in rows),
        )

    def document(
        self, tenant_id: str, decision: str, corpus: str, document_id: str
    ) -> StoredDocument:
        """Its newest row. Raises NotFound for one that never was, or is deleted."""
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        mine = _of(which) & (documents.c.document == document_id)
        newest = select(documents).where(mine).order_by(documents.c.seq.desc()).limit(1)
        with self.reading() as connection:
            row = connection.execute(newest).first()
        if row is None or row.state == "deleted":
            raise NotFound(
                "RUNG-DOCUMENT-UNKNOWN",
                f"the corpus '{corpus}' has no document of that id",
                way_out="Send it with PUT; a document that was deleted is gone.",
            )
        return _document(row)

    def documents(
        self,
        tenant_id: str,
        decision: str,
        corpus: str,
        state: DocumentState | None = None,
        *,
        limit: int = 50,
        after: str = "",
    ) -> tuple[DocumentLine, ...]:
        """By id, each by its newest row and without those that are deleted; `after` is the last id
        of the page before."""
        which, of = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus), documents.c
        newest = of.seq.in_(_newest(_of(which) & (of.document > after)))
        wanted = of.state != "deleted" if state is None else of.state == state
        columns = (of.document, of.title, of.state, of.reason, of.source, of.written_at)
        page = select(*columns).where(newest, wanted).order_by(of.document).limit(limit)
        with self.reading() as connection:
            return tuple(
                DocumentLine(
                    id=row.document,
                    title=row.title,
                    state=row.state,
                    reason=row.reason,
                    source=row.source,
                    written_at=row.written_at,
                )
                for row in connection.execute(page)
            )

    def failed_documents(
        self, tenant_id: str, decision: str, corpus: str, *, limit: int = 20
    ) -> tuple[StoredDocument, ...]:
        """The last to fail first."""
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        newest = documents.c.seq.in_(_newest(_of(which)))
        failed = select(documents).where(newest, documents.c.state == "failed")
        with self.reading() as connection:
            rows = connection.execute(failed.order_by(documents.c.seq.desc()).limit(limit)).all()
        return tuple(_document(row) for row in rows)

    def document_rows(self, tenant_id: str, seqs: Sequence[int]) -> tuple[StoredDocument, ...]:
        """Those that are still there, in their order."""
        found = []
        for part in _parts(sorted(set(seqs))):
            mine = (documents.c.tenant_id == tenant_id) & documents.c.seq.in_(part)
            with self.reading() as connection:
                rows = connection.execute(select(documents).where(mine).order_by(documents.c.seq))
                found += [_document(row) for row in rows]
        return tuple(found)

    def deleted_since(self, tenant_id: str, decision: str, corpus: str, seq: int) -> frozenset[str]:
        """Documents with a tombstone that an index does not know of."""
        which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
        later = _of(which) & (documents.c.state == "deleted") & (documents.c.seq > seq)
        with self.reading() as connection:
            names = connection.execute(select(documents.c.document).where(later))
            return frozenset(names.scalars())


def lock_corpus(connection: Connection, which: CorpusName, now: datetime) -> int:
    """Its revision, which stays until the transaction ends; SQLite has one writer anyway."""
    row = {"tenant_id": which.tenant_id, "decision": which.decision, "corpus": which.corpus}
    insert_new(connection, corpora, {**row, "revision": 0, "changed_at": now})
    locked = connection.execute(_head(which).with_for_update()).one()
    return int(locked.revision)


def bump_revision(connection: Connection, which: CorpusName, now: datetime) -> int:
    """The new one. The caller holds the lock."""
    raised = update(corpora).where(_corpus(which))
    raised = raised.values(revision=corpora.c.revision + 1, changed_at=now)
    return int(connection.execute(raised.returning(corpora.c.revision)).scalar_one())


def insert_documents(
    connection: Connection,
    which: CorpusName,
    new: Sequence[NewDocument],
    *,
    source: Source,
    now: datetime,
) -> Written:
    """A waiting row for each that differs from what is there; of one id, the last counts.

    A folder's document never replaces what was sent over the API, nor brings back what was deleted
    there. What failed is tried again, and its earlier failures are forgotten.
    """
    known = newest_marks(connection, which, [document.id for document in new])
    pending: dict[str, NewDocument] = {}
    accepted = unchanged = 0
    for document in new:
        row = known.get(document.id)
        before = pending.get(document.id) or row
        foreign = source == "folder" and row is not None and row.source == "api"
        same = before is not None and before.content_hash == document.content_hash
        settled = document.id in pending or (row is not None and row.state in ("waiting", "ready"))
        if foreign or (same and settled):
            unchanged += 1
            continue
        accepted += 1
        pending[document.id] = document
    rows = [_row(which, document, "waiting", source, now) for document in pending.values()]
    seqs = _inserted(connection, rows)
    _forget_failures(connection, which, list(pending), before=min(seqs, default=0))
    return Written(seqs=seqs, accepted=accepted, unchanged=unchanged)


def insert_tombstones(
    connection: Connection, which: CorpusName, ids: Sequence[str], *, source: Source, now: datetime
) -> tuple[str, ...]:
    """Those of `ids` that were there and are deleted now, with all their text. The caller holds
    the lock, so that tombstones are committed in the order of their `seq`."""
    known = newest_marks(connection, which, ids)
    there = [name for name in sorted(known) if known[name].state != "deleted"]
    gone = (NewDocument(id=name, title="", text="") for name in there)
    made = _inserted(connection, [_row(which, one, "deleted", source, now) for one in gone])
    # First the new one, then the old: SQLite gives the number of a last row that is gone again,
    # and an index takes a deletion of a number that it knows for known.
    for part in _parts(there):
        older = _of(which) & documents.c.document.in_(part) & (documents.c.seq < min(made))
        connection.execute(delete(documents).where(older))
    return tuple(there)


def forget_deletions(
    store: Base, which: CorpusName, *, through: int | None, before: datetime
) -> int:
    """Tombstones that no index needs, of documents that are there again or that a folder gave up.

    `through`: up to which `seq` every index knows of them; None where there is no index. The last
    of the corpus stays, so that no later one gets a number that an index knows, and so does what
    was deleted over the API, which the folder must not bring back. Returns their number.
    """
    of, gone = documents.c, _of(which) & (documents.c.state == "deleted")
    last = select(func.max(of.seq)).where(gone).scalar_subquery()
    newest = _newest(_of(which) & of.state.in_(SETTLED))
    old = gone & (of.written_at < before) & (of.seq < last)
    old &= or_(of.source == "folder", of.seq.not_in(newest))
    if through is not None:
        old &= of.seq <= through
    return forget(store, documents, old)


def every_corpus(store: Base) -> tuple[CorpusName, ...]:
    """Of all tenants."""
    of = corpora.c
    named = select(of.tenant_id, of.decision, of.corpus)
    named = named.order_by(of.tenant_id, of.decision, of.corpus)
    with store.reading() as connection:
        return tuple(
            CorpusName(tenant_id=row.tenant_id, decision=row.decision, corpus=row.corpus)
            for row in connection.execute(named)
        )


def make_ready(connection: Connection, which: CorpusName, seqs: Sequence[int]) -> int:
    """How many are searched from now on; the older versions of these documents go.

    A row that a later version or a deletion has overtaken goes too. The caller holds the lock.
    """
    other = documents.alias()
    same = (other.c.tenant_id == documents.c.tenant_id) & (other.c.corpus == documents.c.corpus)
    same &= (other.c.decision == documents.c.decision) & (other.c.document == documents.c.document)
    last = select(func.max(other.c.seq)).where(same, other.c.state.in_(SETTLED)).scalar_subquery()
    ready = 0
    for part in _parts(sorted(set(seqs))):
        these = _of(which) & documents.c.seq.in_(part)
        embedded = these & documents.c.state.in_(("waiting", "failed"))
        made = update(documents).where(embedded).values(state="ready", reason=None)
        rows = connection.execute(made.returning(documents.c.seq, documents.c.document)).all()
        older = _of(which) & documents.c.document.in_({row.document for row in rows})
        older &= (documents.c.state != "deleted") & (documents.c.seq < last)
        connection.execute(delete(documents).where(older))
        left = _of(which) & documents.c.seq.in_([row.seq for row in rows])
        counting = select(func.count()).select_from(documents).where(left)
        ready += connection.execute(counting).scalar_one()
    return ready


def mark_failed(connection: Connection, tenant_id: str, seqs: Sequence[int], reason: str) -> None:
    """Those that wait."""
    waiting = (documents.c.tenant_id == tenant_id) & documents.c.seq.in_(seqs)
    waiting &= documents.c.state == "waiting"
    shown = reason[:NOTE_LENGTH].encode("utf-8", "replace").decode().replace("\0", " ")
    connection.execute(update(documents).where(waiting).values(state="failed", reason=shown))


def _forget_failures(
    connection: Connection, which: CorpusName, ids: Sequence[str], *, before: int
) -> None:
    """Of these documents, in rows before a `seq`. What another transaction holds is passed over:
    nobody has locked the corpus, and two that wait for each other's rows would wait for ever."""
    for part in _parts(ids):
        failed = _of(which) & documents.c.document.in_(part) & (documents.c.seq < before)
        failed &= documents.c.state == "failed"
        free = select(documents.c.seq).where(failed).with_for_update(skip_locked=True)
        connection.execute(delete(documents).where(documents.c.seq.in_(free)))


def newest_marks(
    connection: Connection, which: CorpusName, ids: Sequence[str] | None = None
) -> dict[str, Mark]:
    """The newest row of each document, or of each of `ids`, by id."""
    if ids is None:
        newest = _marks(_newest(_of(which)))
        return {row.document: _mark(row) for row in connection.execute(newest)}
    found: dict[str, Mark] = {}
    for part in _parts(sorted(set(ids))):
        newest = _marks(_newest(_of(which) & documents.c.document.in_(part)))
        found |= {row.document: _mark(row) for row in connection.execute(newest)}
    return found


def live_marks(connection: Connection, which: CorpusName) -> dict[str, Mark]:
    """What an index of now would hold, by id."""
    return {row.document: _mark(row) for row in connection.execute(_live(which, *MARKED))}


def deletions_through(connection: Connection, which: CorpusName) -> int:
    """The last tombstone's `seq`; 0 where there is none."""
    gone = _of(which) & (documents.c.state == "deleted")
    last = connection.execute(select(func.max(documents.c.seq)).where(gone)).scalar()
    return int(last or 0)


def _inserted(connection: Connection, rows: Sequence[Mapping[str, object]]) -> tuple[int, ...]:
    if not rows:
        return ()
    inserting = documents.insert().returning(documents.c.seq, sort_by_parameter_order=True)
    return tuple(connection.execute(inserting, rows).scalars())


def _live(which: CorpusName, *columns: Any) -> Select[Any]:
    """The newest ready row of each document that has no later tombstone, by id."""
    settled = _newest(_of(which) & documents.c.state.in_(SETTLED))
    ready = select(*columns).where(documents.c.seq.in_(settled), documents.c.state == "ready")
    return ready.order_by(documents.c.document)


def _marks(newest: Select[Any]) -> Select[Any]:
    return select(*MARKED).where(documents.c.seq.in_(newest))


def _newest(which: ColumnElement[bool]) -> Select[Any]:
    """The `seq` of each document's newest row among those."""
    return select(func.max(documents.c.seq)).where(which).group_by(documents.c.document)


def _of(which: CorpusName) -> ColumnElement[bool]:
    return and_(
        documents.c.tenant_id == which.tenant_id,
        documents.c.decision == which.decision,
        documents.c.corpus == which.corpus,
    )


def _head(which: CorpusName) -> Select[Any]:
    return select(corpora.c.revision, corpora.c.changed_at).where(_corpus(which))


def _corpus(which: CorpusName) -> ColumnElement[bool]:
    return and_(
        corpora.c.tenant_id == which.tenant_id,
        corpora.c.decision == which.decision,
        corpora.c.corpus == which.corpus,
    )


def _row(
    which: CorpusName, new: NewDocument, state: DocumentState, source: Source, now: datetime
) -> dict[str, object]:
    return {
        "tenant_id": which.tenant_id,
        "decision": which.decision,
        "corpus": which.corpus,
        "document": new.id,
        "title": new.title,
        "text": new.text,
        "content_hash": new.content_hash,
        "source": source,
        "state": state,
        "reason": None,
        "written_at": now,
    }


def _mark(row: Row[Any]) -> Mark:
    return Mark(
        seq=row.seq,
        id=row.document,
        content_hash=row.content_hash,
        source=row.source,
        state=row.state,
    )


def _document(row: Row[Any]) -> StoredDocument:
    return StoredDocument(
        seq=row.seq,
        id=row.document,
        content_hash=row.content_hash,
        source=row.source,
        state=row.state,
        title=row.title,
        text=row.text,
        reason=row.reason,
        written_at=row.written_at,
    )


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]
