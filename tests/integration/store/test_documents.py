"""Documents on both databases: the newest embedded version counts, and no deleted one."""

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from core.errors import NotFound
from core.jobs import JobLedger
from core.jobs.corpus_jobs import (
    BULK,
    FRESH,
    promote_judged,
    put_documents,
    remove_documents,
    requeue_lost,
    sync_folder,
)
from core.store import Store
from core.store.documents import (
    CorpusName,
    NewDocument,
    bump_revision,
    forget_deletions,
    insert_tombstones,
    lock_corpus,
    make_ready,
    mark_failed,
)
from core.store.indexes import (
    NewIndex,
    add_newer_index,
    forget_indexes,
    judged_index,
    named_indexes,
    newest_index,
)
from core.store.tables import documents
from tests.fakes.clock import FixedClock

WHICH = CorpusName(tenant_id="acme", decision="support", corpus="corpus")
PLACE = ("acme", "support", "corpus")
ONE = NewIndex(artifact_id="one", fingerprint="space")


def doc(name: str, text: str = "text") -> NewDocument:
    return NewDocument(id=name, title=name.title(), text=text)


def put(store: Store, *new: NewDocument) -> Sequence[int]:
    return put_documents(store, WHICH, new, source="api", priority=FRESH).seqs


def ready(store: Store, seqs: Sequence[int]) -> int:
    """As the job does that has embedded them."""
    with store.writing() as connection:
        lock_corpus(connection, WHICH, store.now())
        made = make_ready(connection, WHICH, seqs)
        if made:
            bump_revision(connection, WHICH, store.now())
    return made


def content(store: Store) -> dict[str, str]:
    return {one.id: one.text for one in store.corpus_content(*PLACE).documents}


def rows(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        found = connection.execute(
            select(documents.c.document, documents.c.state).order_by(documents.c.seq)
        )
        return [(row.document, row.state) for row in found]


def test_what_waits_is_not_searched_and_an_older_version_is_until_then(store: Store) -> None:
    first = put(store, doc("a", "old"))
    assert content(store) == {}
    assert ready(store, first) == 1
    second = put(store, doc("a", "new"))
    assert content(store) == {"a": "old"}
    assert store.corpus_state(*PLACE).documents["waiting"] == 1
    assert ready(store, second) == 1
    assert content(store) == {"a": "new"}
    assert rows(store) == [("a", "ready")]
    assert store.corpus_state(*PLACE).revision == 2


def test_versions_that_become_ready_in_the_wrong_order(store: Store) -> None:
    first, second = put(store, doc("a", "old")), put(store, doc("a", "new"))
    assert ready(store, second) == 1
    assert ready(store, first) == 0
    assert content(store) == {"a": "new"}
    assert rows(store) == [("a", "ready")]


def test_versions_that_become_ready_together(store: Store) -> None:
    both = [*put(store, doc("a", "old")), *put(store, doc("a", "new"))]
    assert ready(store, both) == 1
    assert content(store) == {"a": "new"}


def test_a_deletion_overtakes_what_waits_and_leaves_no_text(store: Store) -> None:
    embedded, waiting = put(store, doc("a"), doc("b")), put(store, doc("a", "secret"))
    ready(store, embedded)
    assert remove_documents(store, WHICH, ["a", "nobody"]) == ("a",)
    assert remove_documents(store, WHICH, ["a"]) == ()
    assert ready(store, waiting) == 0
    assert content(store) == {"b": "text"}
    assert rows(store) == [("b", "ready"), ("a", "deleted")]
    with pytest.raises(NotFound) as caught:
        store.document(*PLACE, "a")
    assert caught.value.code == "RUNG-DOCUMENT-UNKNOWN"
    with store.reading() as connection:
        texts = connection.execute(select(documents.c.text)).scalars().all()
    assert "secret" not in texts


def test_what_was_deleted_may_come_back_and_stays_hidden_from_older_indexes(store: Store) -> None:
    ready(store, put(store, doc("a")))
    before = store.corpus_content(*PLACE)
    remove_documents(store, WHICH, ["a"])
    ready(store, put(store, doc("a", "again")))
    after = store.corpus_content(*PLACE)
    assert content(store) == {"a": "again"}
    assert store.deleted_since(*PLACE, before.deletions_through) == {"a"}
    assert store.deleted_since(*PLACE, after.deletions_through) == frozenset()


def test_the_same_content_is_no_new_version(store: Store) -> None:
    def written(*new: NewDocument) -> tuple[int, int]:
        told = put_documents(store, WHICH, new, source="api", priority=BULK)
        return told.accepted, told.unchanged

    assert written(doc("a"), doc("a"), doc("b")) == (2, 1)
    assert written(doc("a"), doc("b", "other")) == (1, 1)
    assert written(doc("a", "1"), doc("a", "2")) == (2, 0)
    assert store.document(*PLACE, "a").text == "2"
    assert len(JobLedger(store).open_jobs("acme", "embed_documents")) == 3


def test_what_failed_says_why_and_is_tried_again(store: Store) -> None:
    seqs = put(store, doc("a"), doc("b"))
    with store.writing() as connection:
        mark_failed(connection, "acme", seqs[:1], "it holds \0 nothing")
    found = store.document(*PLACE, "a")
    assert (found.state, found.reason) == ("failed", "it holds   nothing")
    assert [one.id for one in store.failed_documents(*PLACE)] == ["a"]
    assert len(put(store, doc("a"))) == 1
    assert store.failed_documents(*PLACE) == ()


def test_lost_documents_get_a_job_once_more(store: Store) -> None:
    ledger = JobLedger(store)
    put(store, doc("a"))
    (job,) = ledger.open_jobs("acme", "embed_documents")
    assert requeue_lost(store, WHICH) == 0
    ledger.cancel("acme", job.id)
    assert requeue_lost(store, WHICH) == 1
    (again,) = ledger.open_jobs("acme", "embed_documents")
    assert again.id != job.id and again.payload == job.payload


def test_the_folder_owns_its_documents_and_no_others(store: Store) -> None:
    def synced(*folder: NewDocument) -> tuple[int, int, int]:
        told = sync_folder(store, WHICH, folder)
        return told.accepted, told.unchanged, told.removed

    put(store, doc("sent"), doc("both", "of the API"))
    assert synced(doc("a"), doc("b"), doc("both", "of the folder")) == (2, 1, 0)
    assert synced(doc("a", "new"), doc("both", "of the folder")) == (1, 1, 1)
    assert store.document(*PLACE, "both").text == "of the API"
    assert store.document(*PLACE, "sent").source == "api"
    remove_documents(store, WHICH, ["both", "a"])
    assert synced(doc("a", "new"), doc("both", "of the folder")) == (0, 2, 0)
    assert synced(doc("b")) == (1, 0, 0)  # the folder itself had deleted it


def test_what_the_folder_has_though_it_could_not_be_read_stays_as_it_is(store: Store) -> None:
    sync_folder(store, WHICH, [doc("a"), doc("b"), doc("c")])
    told = sync_folder(store, WHICH, [doc("c", "new")], unread={"a", "never there"})
    assert (told.accepted, told.unchanged, told.removed) == (1, 0, 1)
    assert store.document(*PLACE, "a").state == "waiting"
    with pytest.raises(NotFound):
        store.document(*PLACE, "b")


# --- indexes


def index_of(store: Store, fingerprint: str = "space") -> tuple[str, int | None] | None:
    row = store.current_indexes("acme", "support", fingerprint).get("corpus")
    return None if row is None else (row.artifact_id, row.revision)


def add(store: Store, artifact: str, revision: int, fingerprint: str = "space") -> bool:
    with store.writing() as connection:
        lock_corpus(connection, WHICH, store.now())
        new = NewIndex(artifact_id=artifact, fingerprint=fingerprint)
        return add_newer_index(
            connection, WHICH, new, revision=revision, through=0, now=store.now()
        )


def test_a_slower_build_never_replaces_a_newer_index(store: Store) -> None:
    assert add(store, "second", 2)
    assert not add(store, "first", 1)
    assert not add(store, "second again", 2)
    assert index_of(store) == ("second", 2)
    assert add(store, "of another", 1, "other space")
    assert index_of(store) == ("second", 2)
    assert index_of(store, "other space") == ("of another", 1)
    assert [row.artifact_id for row in store.indexes_of(*PLACE)] == ["of another", "second"]


def test_an_old_row_is_anybodys_until_a_newer_one_is_there(store: Store) -> None:
    with store.writing() as connection:
        from core.store.tables import indexes

        row = {"tenant_id": "acme", "decision": "support", "corpus": "corpus"}
        connection.execute(
            indexes.insert().values(**row, artifact_id="old", registered_at=store.now())
        )
    assert index_of(store) == index_of(store, "other space") == ("old", None)
    add(store, "new", 1)
    assert index_of(store) == ("new", 1)
    assert index_of(store, "other space") == ("old", None)


def promoted(store: Store, folder: Sequence[NewDocument], index: NewIndex = ONE) -> bool:
    with store.writing() as connection:
        return promote_judged(connection, WHICH, folder, index, store.now())


def test_training_puts_its_index_in_force_without_a_worker(store: Store) -> None:
    assert promoted(store, [doc("a"), doc("b")])
    assert index_of(store) == ("one", 1)
    assert content(store) == {"a": "text", "b": "text"}
    assert JobLedger(store).open_count() == 0
    assert promoted(store, [doc("a"), doc("b")])  # nothing new: no further row
    assert len(store.indexes_of(*PLACE)) == 1 and index_of(store) == ("one", 1)
    two = NewIndex(artifact_id="two", fingerprint="space")
    assert promoted(store, [doc("b", "new"), doc("c")], two)
    assert (content(store), index_of(store)) == ({"b": "new", "c": "text"}, ("two", 2))
    row = store.current_indexes("acme", "support", "space")["corpus"]
    assert store.deleted_since(*PLACE, row.deletions_through) == frozenset()
    assert store.deleted_since(*PLACE, 0) == {"a"}


def test_training_leaves_a_corpus_of_other_documents_to_a_worker(store: Store) -> None:
    ready(store, put(store, doc("sent")))
    add(store, "of both", 1)
    assert not promoted(store, [doc("a")])
    assert index_of(store) == ("of both", 1)
    assert content(store) == {"sent": "text", "a": "text"}
    (build,) = JobLedger(store).open_jobs("acme", "build_index")
    assert build.payload["revision"] == store.corpus_state(*PLACE).revision == 2


def test_training_without_any_index_before_is_in_force_until_one_is_built(store: Store) -> None:
    ready(store, put(store, doc("sent")))
    assert not promoted(store, [doc("a")])
    assert index_of(store) == ("one", 0)
    assert add(store, "of both", 2)


def test_documents_that_wait_for_a_worker_are_ready_by_training(store: Store) -> None:
    sync_folder(store, WHICH, [doc("a")])
    assert promoted(store, [doc("a")])
    assert (content(store), index_of(store)) == ({"a": "text"}, ("one", 1))


def test_old_indexes_are_forgotten_and_what_a_version_names_is_not(
    store: Store, clock: FixedClock
) -> None:
    from core.store import NewVersion

    for revision in range(1, 7):
        add(store, f"index {revision}", revision)
    add(store, "index 1", 1, "other space")
    add(store, "old", 1, "abandoned space")
    lineage = {"indexes": {"corpus": "index 2"}}
    version = NewVersion(
        id="a" * 64, decision="support", step="s", artifact="r", evaluation="e", lineage=lineage
    )
    store.register_version("acme", version, promote=True)

    def forget() -> int:
        before, abandoned = store.now() - timedelta(hours=1), {"abandoned space"}
        with store.writing() as connection:
            return forget_indexes(connection, WHICH, keep=3, abandoned=abandoned, before=before)

    assert (forget(), forget()) == (1, 0)
    clock.advance(hours=2)
    for revision in range(7, 10):
        add(store, f"index {revision}", revision)
    assert (forget(), forget()) == (5, 0)  # a process may still load what was replaced just now
    clock.advance(hours=2)
    assert (forget(), forget()) == (1, 0)
    assert index_of(store) == ("index 9", 9)
    with store.reading() as connection:
        named = named_indexes(connection, "acme")
        assert judged_index(connection, WHICH) == "index 2"
        assert named_indexes(connection, "other") == set()
    assert named == {"index 1", "index 2", "index 7", "index 8", "index 9"}


# --- rows that nobody needs any more


def failed(store: Store, seqs: Sequence[int]) -> None:
    with store.writing() as connection:
        mark_failed(connection, "acme", seqs, "it is poison")


def test_a_document_that_fails_every_night_is_kept_once(store: Store) -> None:
    ready(store, put(store, doc("a", "good")))
    for night in range(30):
        failed(store, put(store, doc("a", f"poison {night}"), doc("b", "poison")))
    assert rows(store) == [("a", "ready"), ("a", "failed"), ("b", "failed")]
    assert content(store) == {"a": "good"}
    assert store.document(*PLACE, "a").text == "poison 29"
    ready(store, put(store, doc("a", "better")))
    assert rows(store) == [("b", "failed"), ("a", "ready")]


def test_a_failure_that_another_transaction_holds_is_not_waited_for(store: Store) -> None:
    if store.is_sqlite:
        pytest.skip("SQLite has one writer")
    failed(store, put(store, doc("a", "poison")))
    with store.writing() as connection:
        connection.execute(select(documents).with_for_update())
        put(store, doc("a", "good"))
    assert rows(store) == [("a", "failed"), ("a", "waiting")]


def test_a_document_that_is_deleted_and_sent_again_has_one_tombstone(store: Store) -> None:
    ready(store, put(store, doc("a"), doc("b")))
    before = store.corpus_content(*PLACE)
    for time in range(50):
        remove_documents(store, WHICH, ["a"])
        ready(store, put(store, doc("a", f"text {time}")))
    assert sorted(rows(store)) == [("a", "deleted"), ("a", "ready"), ("b", "ready")]
    assert store.deleted_since(*PLACE, before.deletions_through) == {"a"}
    after = store.corpus_content(*PLACE)
    remove_documents(store, WHICH, ["a"])
    assert store.deleted_since(*PLACE, after.deletions_through) == {"a"}


def test_a_tombstone_stays_while_an_index_needs_it(store: Store, clock: FixedClock) -> None:
    """And that of a deletion over the API for ever: a folder must not bring the document back."""
    put_documents(store, WHICH, [doc("kept")], source="folder", priority=BULK)
    ready(store, put(store, doc("again"), doc("gone")))
    sync_folder(store, WHICH, [doc("kept"), doc("vanished")])
    sync_folder(store, WHICH, [doc("kept")])
    remove_documents(store, WHICH, ["kept", "again", "gone"])
    through = store.corpus_content(*PLACE).deletions_through
    ready(store, put(store, doc("again"), doc("last")))
    remove_documents(store, WHICH, ["last"])

    def forget(known: int | None) -> int:
        before = store.now() - timedelta(days=30)
        return forget_deletions(store, WHICH, through=known, before=before)

    def tombstones() -> set[str]:
        return {name for name, state in rows(store) if state == "deleted"}

    every = {"vanished", "kept", "again", "gone", "last"}
    assert forget(through) == 0  # a process may answer by an index of before
    clock.advance(days=31)
    assert forget(0) == 0 and tombstones() == every
    assert forget(through) == 2
    assert tombstones() == {"kept", "gone", "last"}
    assert content(store) == {"again": "text"}
    assert sync_folder(store, WHICH, [doc("kept")]).accepted == 0
    assert store.deleted_since(*PLACE, through) == {"last"}


def test_a_deletion_is_never_taken_for_one_that_an_index_knows(
    store: Store, clock: FixedClock
) -> None:
    """SQLite gives a row the number of the last one that is gone."""
    ready(store, put(store, doc("a")))
    for _ in range(2):
        sync_folder(store, WHICH, [doc("vanished")])
        sync_folder(store, WHICH, [])
        known = store.corpus_content(*PLACE).deletions_through
        clock.advance(days=31)
        forget_deletions(store, WHICH, through=known, before=store.now())
        remove_documents(store, WHICH, ["a"])
        assert store.deleted_since(*PLACE, known) == {"a"}
        known = store.corpus_content(*PLACE).deletions_through
        ready(store, put(store, doc("a")))
        remove_documents(store, WHICH, ["a"])
        assert store.deleted_since(*PLACE, known) == {"a"}
        ready(store, put(store, doc("a")))


# --- races, which only a database with several writers has


@pytest.fixture
def slow_delete(store: Store) -> Iterator[Connection]:
    """A transaction that has deleted `a` and is not committed."""
    ready(store, put(store, doc("a"), doc("b")))
    with store.writing() as connection:
        lock_corpus(connection, WHICH, store.now())
        insert_tombstones(connection, WHICH, ["a"], source="api", now=store.now())
        bump_revision(connection, WHICH, store.now())
        yield connection


def test_tombstones_are_committed_in_their_order(store: Store, slow_delete: Connection) -> None:
    """Else an index could know of the later and miss the earlier."""
    if store.is_sqlite:
        pytest.skip("SQLite has one writer")
    done = threading.Event()

    def later() -> None:
        remove_documents(store, WHICH, ["b"])
        done.set()

    thread = threading.Thread(target=later)
    thread.start()
    assert not done.wait(0.3)
    seen = store.corpus_content(*PLACE)
    assert (seen.revision, seen.deletions_through) == (1, 0)
    slow_delete.commit()
    thread.join(10)
    assert done.is_set()
    assert store.deleted_since(*PLACE, 0) == {"a", "b"}
    assert store.corpus_state(*PLACE).revision == 3


def test_two_builds_end_at_once_in_the_wrong_order(store: Store) -> None:
    together = threading.Barrier(8)

    def build(revision: int) -> None:
        together.wait()
        add(store, f"index {revision}", revision)

    threads = [threading.Thread(target=build, args=(revision,)) for revision in range(8, 0, -1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index_of(store) == ("index 8", 8)
    with store.reading() as connection:
        row = newest_index(connection, WHICH, "space")
    assert row is not None and row.revision == 8


def test_pages_hold_each_document_once_whatever_its_id(store: Store) -> None:
    names = ["B/2", "a", "a b", "a-b", "b", "é", "z" * 200, "a/b", "A"]
    put(store, *map(doc, names))
    seen: list[str] = []
    while page := store.documents(*PLACE, limit=2, after=seen[-1] if seen else ""):
        seen += [document.id for document in page]
    assert sorted(seen) == sorted(names)
