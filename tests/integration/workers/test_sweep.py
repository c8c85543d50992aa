"""What no row leads to goes a day after it was made; what is in use, or about to be, stays."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.artifacts import ArtifactStore
from core.embedding import text_digest
from core.jobs import JobLedger
from core.jobs.corpus_jobs import (
    BUILD,
    BULK,
    EMBED,
    enqueue_build,
    put_documents,
    remove_documents,
)
from core.settings import Settings
from core.store import NewVersion, Store
from core.store.documents import CorpusName, NewDocument, bump_revision, lock_corpus, make_ready
from core.store.indexes import NewIndex, add_newer_index
from core.store.vectors import vector_counts
from rankers.corpora import build_index, chunks_of, embed_chunks, load_index, put_verified
from tests.fakes.clock import FixedClock
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import SECRET, settings_for
from workers.sweep import KEPT, Sweep

KEY = SECRET.get_secret_value().encode()
EMBEDDER = HashingEmbedder()


class Corpus:
    """One, with what its workers do done here at once, each part when a test asks for it."""

    def __init__(self, store: Store, artifacts: ArtifactStore, tenant_id: str = "acme") -> None:
        self.store = store
        self.ledger = JobLedger(store)
        self.artifacts = artifacts
        self.which = CorpusName(tenant_id=tenant_id, decision="support", corpus="corpus")
        self.place = (tenant_id, "support", "corpus")

    def write(
        self,
        documents: Mapping[str, str],
        embedder: HashingEmbedder = EMBEDDER,
        *,
        jobs_wait: bool = False,
    ) -> None:
        """Embedded and ready, in no index yet."""
        new = [NewDocument(id=name, title=name, text=text) for name, text in documents.items()]
        seqs = put_documents(self.store, self.which, new, source="api", priority=BULK).seqs
        embed_chunks(chunks_of(new), embedder, self.store.vectors(self.which.tenant_id))
        with self.store.writing() as connection:
            lock_corpus(connection, self.which, self.store.now())
            make_ready(connection, self.which, seqs)
            bump_revision(connection, self.which, self.store.now())
        if not jobs_wait:
            self.end_jobs()

    def delete(self, *names: str) -> None:
        remove_documents(self.store, self.which, names)
        self.end_jobs()

    def end_jobs(self, *, most: int | None = None) -> None:
        """The oldest first."""
        for kind in (EMBED, BUILD):
            for job in self.ledger.open_jobs(self.which.tenant_id, kind)[:most]:
                self.ledger.cancel(self.which.tenant_id, job.id)

    def stored(self, embedder: HashingEmbedder = EMBEDDER) -> str:
        """The artifact of a build that did not come to register it."""
        return self._put(embedder)[0]

    def build(self, embedder: HashingEmbedder = EMBEDDER) -> str:
        artifact, told = self._put(embedder)
        new = NewIndex(artifact_id=artifact, fingerprint=embedder.fingerprint, report=told)
        content = self.store.corpus_content(*self.place)
        with self.store.writing() as connection:
            assert add_newer_index(
                connection,
                self.which,
                new,
                revision=content.revision,
                through=content.deletions_through,
                now=self.store.now(),
            )
        return artifact

    def _put(self, embedder: HashingEmbedder) -> tuple[str, Mapping[str, Any]]:
        content, tenant_id = self.store.corpus_content(*self.place), self.which.tenant_id
        chunks = chunks_of(content.documents)
        built = build_index(chunks, embedder, self.store.vectors(tenant_id))
        artifact, _, told = put_verified(self.artifacts, tenant_id, built)
        return artifact, told

    def version(self, artifact: str, *, promote: bool) -> None:
        lineage = {"indexes": {"corpus": artifact}}
        new = NewVersion(
            id="a" * 64, decision="support", step="s", artifact="r", evaluation="e", lineage=lineage
        )
        self.store.register_version(self.which.tenant_id, new, promote=promote)

    def files(self) -> set[str]:
        """The artifacts that are there, each whole."""
        folder = self.artifacts._folder(self.which.tenant_id) / "manifests"
        names = {path.stem for path in folder.glob("*.json")}
        for name in names:
            load_index(self.artifacts, self.which.tenant_id, name)
        return names

    def texts(self, asked: Sequence[str], embedder: HashingEmbedder = EMBEDDER) -> set[str]:
        """Of those, `title text` each, the ones that have a vector."""
        digests = {text: text_digest(text) for text in asked}
        vectors = self.store.vectors(self.which.tenant_id)
        known = vectors.known(embedder.fingerprint, list(digests.values()))
        return {text for text, digest in digests.items() if digest in known}


@pytest.fixture
def clock() -> FixedClock:
    """By which files that are written now are new."""
    return FixedClock(datetime.now(UTC))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path)


@pytest.fixture
def corpus(store: Store, settings: Settings) -> Corpus:
    return Corpus(store, ArtifactStore(settings.artifacts, KEY))


@pytest.fixture
def sweep(store: Store, settings: Settings) -> Sweep:
    return Sweep(settings, store)


# --- files


def test_of_many_versions_the_last_three_stay(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    made = []
    for n in range(KEPT + 3):
        corpus.write({"a": f"text {n}", "b": "always the same"})
        made.append(corpus.build())
    sweep.run()
    assert corpus.files() == set(made)  # a process may be loading one
    clock.advance(days=2)
    sweep.run()
    assert corpus.files() == set(made[-KEPT:])
    blobs = list(corpus.artifacts._root.rglob("blobs/*/*"))
    sweep.run()
    assert list(corpus.artifacts._root.rglob("blobs/*/*")) == blobs


def test_what_a_lost_build_and_a_killed_writer_left_is_removed(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    corpus.write({"a": "one"})
    kept = corpus.build()
    corpus.write({"a": "two"})
    lost = corpus.stored()
    part = corpus.artifacts._root / "acme" / "manifests" / "tmp12345"
    part.write_bytes(b"half")
    sweep.run()
    assert corpus.files() == {kept, lost} and part.exists()
    clock.advance(days=2)
    sweep.run()
    assert corpus.files() == {kept} and not part.exists()


def test_what_a_crash_between_the_row_and_its_files_left_is_found(
    corpus: Corpus, store: Store, settings: Settings, clock: FixedClock
) -> None:
    """The rows are forgotten, and the process dies; another one sweeps."""
    made = []
    for n in range(KEPT + 1):
        corpus.write({"a": f"text {n}"})
        made.append(corpus.build())
    clock.advance(hours=2)
    Sweep(settings, store).run()
    assert corpus.files() == set(made)  # the row is gone, and the file is young
    clock.advance(days=2)
    Sweep(settings, store).run()
    assert corpus.files() == set(made[1:])


def test_the_index_of_a_trained_version_stays_for_good(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    corpus.write({"a": "judged"})
    judged = corpus.build()
    corpus.version(judged, promote=False)
    for n in range(KEPT + 1):
        corpus.write({"a": f"text {n}"})
        newest = corpus.build()
    clock.advance(days=400)
    sweep.run()
    assert {judged, newest} <= corpus.files() and len(corpus.files()) == KEPT + 1


def test_tenants_share_nothing(
    corpus: Corpus, store: Store, sweep: Sweep, clock: FixedClock
) -> None:
    """Not even where they have the same documents, and so the same artifact."""
    other = Corpus(store, corpus.artifacts, "other")
    for one in (corpus, other):
        one.write({"a": "same"})
        one.build()
    corpus.write({"a": "edited"})
    corpus.build()
    broken = corpus.artifacts._root / "acme" / "manifests" / f"{'f' * 64}.json"
    broken.write_bytes(b"{}")
    other.write({"a": "other"})
    lost = other.stored()
    other.write({"a": "same"})
    clock.advance(days=2)
    sweep.run()
    assert lost not in other.files() and len(other.files()) == 1
    assert other.texts(["a same", "a edited"]) == {"a same"}
    assert corpus.texts(["a same", "a edited"]) == {"a edited"}


def test_another_database_sweeps_no_file(
    corpus: Corpus,
    sweep: Sweep,
    settings: Settings,
    clock: FixedClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its rows name nothing of what is here, so all would go; also where it asks first."""
    corpus.write({"a": "one"})
    kept = corpus.build()
    clock.advance(days=2)
    foreign = Store.open(f"sqlite:///{tmp_path / 'foreign.db'}", clock, secret=SECRET)
    Sweep(settings, foreign).run()
    assert corpus.files() == {kept}
    sweep.run()
    with caplog.at_level(logging.WARNING):
        Sweep(settings, foreign).run()
    foreign.close()
    assert corpus.files() == {kept}
    assert "another database's" in caplog.text
    corpus.write({"a": "two"})
    for _ in range(5):
        newest = corpus.build()
        corpus.write({"a": newest})
        clock.advance(days=2)
    sweep.run()
    assert kept not in corpus.files()


# --- another embedder

OTHER = HashingEmbedder(salt="other ")


def a_cut_over(corpus: Corpus, clock: FixedClock) -> tuple[str, str]:
    """The index of an embedder that has not followed the corpus for 40 days, and the newest."""
    corpus.write({"a": "one"})
    left_behind = corpus.build()
    corpus.build(OTHER)
    corpus.write({"a": "two"}, OTHER)
    newest = corpus.build(OTHER)
    clock.advance(days=40)
    return left_behind, newest


def test_an_abandoned_embedder_leaves_nothing(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    left_behind, newest = a_cut_over(corpus, clock)
    sweep.run()
    assert left_behind not in corpus.files() and newest in corpus.files()
    assert corpus.texts(["a one", "a two"]) == set()
    assert corpus.texts(["a one", "a two"], OTHER) == {"a two"}


def test_the_embedder_that_answers_is_not_abandoned(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    """However long its index is behind: a server that starts must find it."""
    left_behind, newest = a_cut_over(corpus, clock)
    corpus.version(left_behind, promote=True)
    sweep.run()
    assert {left_behind, newest} <= corpus.files()
    row = corpus.store.current_indexes("acme", "support", EMBEDDER.fingerprint)["corpus"]
    assert row.artifact_id == left_behind
    assert corpus.texts(["a one"]) == {"a one"}


def test_an_embedder_that_is_asked_to_follow_is_not_abandoned(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    left_behind, _ = a_cut_over(corpus, clock)
    with corpus.store.writing() as connection:
        fingerprint = EMBEDDER.fingerprint
        now = corpus.store.now()
        enqueue_build(connection, corpus.which, 9, priority=BULK, now=now, fingerprint=fingerprint)
    sweep.run()
    assert left_behind in corpus.files()


# --- vectors


def test_vectors_of_texts_that_no_index_holds_go_after_a_day(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    """Of a text that was replaced before an index held it, and of one that an index gave up."""
    edits = [f"a edit {n}" for n in range(20)]
    for n in range(20):
        corpus.write({"a": f"edit {n}", "b": "stays"})
    corpus.build()
    clock.advance(hours=2)
    sweep.run()
    assert corpus.texts([*edits, "b stays"]) == {*edits, "b stays"}
    clock.advance(days=1)
    sweep.run()
    assert corpus.texts([*edits, "b stays"]) == {"a edit 19", "b stays"}
    corpus.write({"a": "the last"})
    corpus.build()
    sweep.run()
    assert corpus.texts([*edits, "a the last", "b stays"]) == {"a the last", "b stays"}


def test_vectors_of_what_was_deleted_go_before_another_index_is_there(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    """A corpus that was emptied gets none."""
    corpus.write({"a": "one", "b": "two"})
    corpus.build()
    corpus.delete("a", "b")
    clock.advance(days=2)
    sweep.run()
    assert vector_counts(corpus.store) == {}


def test_vectors_that_open_work_may_have_made_wait_for_it(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    """A million documents may take more than a day to embed."""
    corpus.write({"a": "long ago"}, jobs_wait=True)
    clock.advance(days=2)
    corpus.write({"a": "now"}, jobs_wait=True)
    clock.advance(days=2)
    sweep.run()
    assert corpus.texts(["a long ago", "a now"]) == {"a long ago", "a now"}
    corpus.end_jobs(most=1)
    sweep.run()
    assert corpus.texts(["a long ago", "a now"]) == {"a now"}
    corpus.end_jobs()
    sweep.run()
    assert corpus.texts(["a long ago", "a now"]) == set()


def test_an_index_that_cannot_be_read_keeps_its_vectors(
    corpus: Corpus, sweep: Sweep, clock: FixedClock
) -> None:
    """It has to be built again, and from them."""
    corpus.write({"a": "one"})
    artifact = corpus.build()
    (corpus.artifacts._root / "acme" / "manifests" / f"{artifact}.json").unlink()
    clock.advance(days=2)
    sweep.run()
    assert corpus.texts(["a one"]) == {"a one"}


def test_what_has_not_changed_is_not_read_again(
    corpus: Corpus, sweep: Sweep, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An index of a million passages is read for some ten seconds."""
    corpus.write({"a": "one"})
    artifact = corpus.build()
    sweep.run()
    manifest = corpus.artifacts._root / "acme" / "manifests" / f"{artifact}.json"
    content = manifest.read_bytes()
    manifest.unlink()
    sweep.run()
    assert "is not swept" not in caplog.text
    corpus.write({"b": "two"})
    sweep.run()
    assert "is not swept" in caplog.text
    manifest.write_bytes(content)
    clock.advance(days=2)
    sweep.run()
    assert corpus.texts(["a one", "b two"]) == {"a one"}
