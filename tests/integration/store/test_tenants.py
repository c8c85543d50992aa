"""No tenant reads or changes what is another's; a method that nobody thought of fails here."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.entity_features import EntityEvent
from core.errors import NotFound
from core.jobs import JobLedger
from core.store import Claim, NewVersion, Store, Version
from core.store.documents import (
    CorpusName,
    NewDocument,
    bump_revision,
    insert_documents,
    insert_tombstones,
    lock_corpus,
    make_ready,
    mark_failed,
)
from core.store.indexes import NewIndex, add_index
from core.store.scores import ScoredRows
from tests.fakes.clock import FixedClock
from tests.fakes.decisions import FACTS, full_decision, told

# They serve the process and not a tenant, or take the tenant from what was claimed or decided.
STORE_WIDE = {
    "open",
    "close",
    "after_fork",
    "now",
    "is_sqlite",
    "reading",
    "writing",
    "verify_key",  # answers whose key it is
    "live_decisions",  # for a process that loads them all
    "prune_idempotency",
    "prune_scores",
    "score_keys",  # how a tenant's keys are stored; reads no row
    "abandon",
    "complete_claim",
    "record_decision",
}
LEDGER_WIDE = {
    "claim_next",
    "renew",
    "finish",
    "put_off",
    "fail",
    "sweep",
    "prune",
    "open_count",
    "is_overdue",
    "left_for",
}
CORPUS = CorpusName(tenant_id="acme", decision="support", corpus="corpus")


@dataclass(frozen=True, kw_only=True)
class Ids:
    decision: str
    review: str
    key: str
    job: str
    documents: tuple[int, ...]


@pytest.fixture
def owned(store: Store, clock: FixedClock) -> Iterator[Ids]:
    """One of everything, of the tenant `acme`."""
    store.record_decision(full_decision(), FACTS, review=True)
    store.record_feedback("acme", told())
    store.create_key("acme", "app", ["read"])
    store.register_release("acme", "support", "digest")
    documents = a_corpus(store)
    store.keep_scores("acme", "support", a_score(store, "acme"))
    store.vectors("acme").keep("embedder", {"text": np.ones(4, dtype=np.float32)})
    store.claim_idempotency("acme", "k", "hash")
    store.register_version("acme", a_version("digest"), promote=False)
    store.record_events("acme", "customer", [an_event(store)])
    job = JobLedger(store).enqueue("acme", "embed", {"a": 1}, "hash")
    yield Ids(
        decision="d1",
        review=store.reviews("acme")[0].id,
        key=store.list_keys("acme")[0].id,
        job=job,
        documents=documents,
    )


def a_corpus(store: Store) -> tuple[int, ...]:
    """A document that is searched, one that failed, one that is gone, and an index."""
    new = [NewDocument(id=name, title=name, text="text") for name in ("ready", "failed", "gone")]
    now = store.now()
    with store.writing() as connection:
        seqs = insert_documents(connection, CORPUS, new, source="api", now=now).seqs
        lock_corpus(connection, CORPUS, now)
        make_ready(connection, CORPUS, seqs[:1])
        mark_failed(connection, "acme", seqs[1:2], "it is empty")
        insert_tombstones(connection, CORPUS, ["gone"], source="api", now=now)
        revision = bump_revision(connection, CORPUS, now)
        index = NewIndex(artifact_id="artifact", fingerprint="embedder")
        add_index(connection, CORPUS, index, revision=revision, through=0, now=now)
    return seqs


def a_score(store: Store, outcome: str) -> ScoredRows:
    now = store.now()
    return ScoredRows(
        release="r",
        scored_at=now,
        expires_at=now + timedelta(days=1),
        keys=["customer"],
        probabilities=[0.5],
        outcomes=[outcome],
        digests=["d"],
    )


def a_version(artifact: str) -> NewVersion:
    return NewVersion(
        id="a" * 64,
        decision="support",
        step="linear",
        artifact=artifact,
        evaluation="e",
        lineage={},
    )


def an_event(store: Store) -> EntityEvent:
    now = store.now()
    return EntityEvent(
        entity="c1", id="e1", kind="payment", happened_at=now, known_at=now, values={}
    )


READS: dict[str, Callable[[Store, str, Ids], Any]] = {
    "decision": lambda s, tenant, ids: s.decision(tenant, ids.decision),
    "reviews": lambda s, tenant, ids: s.reviews(tenant),
    "review": lambda s, tenant, ids: s.review(tenant, ids.review),
    "review_events": lambda s, tenant, ids: s.review_events(tenant, ids.review),
    "list_keys": lambda s, tenant, ids: s.list_keys(tenant),
    "live_release": lambda s, tenant, ids: s.live_release(tenant, "support"),
    "release_in_force": lambda s, tenant, ids: s.release_in_force(tenant, "support"),
    "promotions": lambda s, tenant, ids: s.promotions(tenant, "support"),
    "decision_names": lambda s, tenant, ids: s.decision_names(tenant),
    "current_indexes": lambda s, tenant, ids: s.current_indexes(tenant, "support", "embedder"),
    "indexes_of": lambda s, tenant, ids: s.indexes_of(tenant, "support", "corpus"),
    "corpus_state": lambda s, tenant, ids: s.corpus_state(tenant, "support", "corpus").revision,
    "corpus_content": lambda s, tenant, ids: (
        s.corpus_content(tenant, "support", "corpus").documents
    ),
    "document": lambda s, tenant, ids: s.document(tenant, "support", "corpus", "ready"),
    "document_rows": lambda s, tenant, ids: s.document_rows(tenant, ids.documents),
    "documents": lambda s, tenant, ids: s.documents(tenant, "support", "corpus"),
    "failed_documents": lambda s, tenant, ids: s.failed_documents(tenant, "support", "corpus"),
    "deleted_since": lambda s, tenant, ids: s.deleted_since(tenant, "support", "corpus", 0),
    "scores": lambda s, tenant, ids: s.scores(tenant, "support", ["customer"]),
    "vectors": lambda s, tenant, ids: list(s.vectors(tenant).known("embedder", ["text"])),
    "version": lambda s, tenant, ids: s.version(tenant, "a" * 64),
    "versions": lambda s, tenant, ids: s.versions(tenant),
    "entity_state": lambda s, tenant, ids: s.entity_state(
        tenant, "customer", "c1", at=s.now(), within=timedelta(days=1)
    )[0],
    "entity_log": lambda s, tenant, ids: list(s.entity_log(tenant, "customer")),
}
WRITES: dict[str, Callable[[Store, str, Ids], Any]] = {
    "record_feedback": lambda s, tenant, ids: s.record_feedback(tenant, told(ids.decision)),
    "claim_review": lambda s, tenant, ids: s.claim_review(tenant, ids.review, "eve"),
    "resolve_review": lambda s, tenant, ids: s.resolve_review(tenant, ids.review, "eve", "block"),
    "snooze_review": lambda s, tenant, ids: s.snooze_review(
        tenant, ids.review, "eve", s.now() + timedelta(hours=1)
    ),
    "revoke_key": lambda s, tenant, ids: s.revoke_key(tenant, ids.key),
    "create_key": lambda s, tenant, ids: s.create_key(tenant, "app", ["read"]),
    "register_release": lambda s, tenant, ids: s.register_release(tenant, "support", "evil"),
    "keep_scores": lambda s, tenant, ids: str(s.keep_scores(tenant, "support", a_score(s, "evil"))),
    "claim_idempotency": lambda s, tenant, ids: s.claim_idempotency(tenant, "k", "other hash"),
    "register_version": lambda s, tenant, ids: s.register_version(
        tenant, a_version("evil"), promote=True
    ),
    "promote_version": lambda s, tenant, ids: s.promote_version(
        tenant, s.version(tenant, "a" * 64), who="eve", reason=None
    ),
    "record_events": lambda s, tenant, ids: str(s.record_events(tenant, "customer", [an_event(s)])),
}
LEDGER_READS: dict[str, Callable[[JobLedger, str, Ids], Any]] = {
    "job": lambda ledger, tenant, ids: ledger.job(tenant, ids.job),
    "find": lambda ledger, tenant, ids: seen(lambda: ledger.find(tenant, ids.job)),
    "jobs": lambda ledger, tenant, ids: ledger.jobs(tenant),
    "open_jobs": lambda ledger, tenant, ids: ledger.open_jobs(tenant, "embed"),
    "oldest_due_at": lambda ledger, tenant, ids: ledger.oldest_due_at(tenant),
    "counts": lambda ledger, tenant, ids: any(ledger.counts(tenant).values()),
}
LEDGER_WRITES: dict[str, Callable[[JobLedger, str, Ids], Any]] = {
    "cancel": lambda ledger, tenant, ids: seen(lambda: ledger.cancel(tenant, ids.job)),
    "retry": lambda ledger, tenant, ids: seen(lambda: ledger.retry(tenant, ids.job)),
    "claim": lambda ledger, tenant, ids: ledger.claim(tenant, ids.job, timedelta(seconds=9)),
    "enqueue": lambda ledger, tenant, ids: ledger.enqueue(tenant, "embed", {"b": 2}, "hash"),
}


def seen(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except NotFound as error:
        return error.code


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def test_every_method_is_listed_here_and_takes_its_tenant_first() -> None:
    assert public(Store) == STORE_WIDE | set(READS) | set(WRITES)
    assert public(JobLedger) == LEDGER_WIDE | set(LEDGER_READS) | set(LEDGER_WRITES)
    for kind, names in ((Store, {*READS, *WRITES}), (JobLedger, {*LEDGER_READS, *LEDGER_WRITES})):
        for name in names:
            assert list(inspect.signature(getattr(kind, name)).parameters)[1] == "tenant_id"


@pytest.mark.parametrize("name", sorted(READS))
def test_another_tenant_reads_what_a_stranger_does(store: Store, owned: Ids, name: str) -> None:
    read = READS[name]
    other = seen(lambda: read(store, "other", owned))
    assert other == seen(lambda: read(store, "nobody at all", owned))
    assert other != seen(lambda: read(store, "acme", owned))
    unknown = (
        "RUNG-REVIEW-ID",
        "RUNG-VERSION-ID",
        "RUNG-DOCUMENT-UNKNOWN",
        "RUNG-DECISION-UNKNOWN",
    )
    assert not other or other in unknown


@pytest.mark.parametrize("name", sorted(WRITES))
def test_another_tenant_changes_nothing(store: Store, owned: Ids, name: str) -> None:
    before = [seen(lambda read=read: read(store, "acme", owned)) for read in READS.values()]
    outcome = seen(lambda: WRITES[name](store, "other", owned))
    assert [seen(lambda read=read: read(store, "acme", owned)) for read in READS.values()] == before
    # Either there is nothing of that id, or the other tenant has made something of its own.
    assert outcome is None or isinstance(outcome, Claim | str | Version)


@pytest.mark.parametrize("name", sorted({**LEDGER_READS, **LEDGER_WRITES}))
def test_another_tenant_has_no_part_in_a_job(store: Store, owned: Ids, name: str) -> None:
    ledger = JobLedger(store)
    before = ledger.job("acme", owned.job)
    outcome = {**LEDGER_READS, **LEDGER_WRITES}[name](ledger, "other", owned)
    assert ledger.job("acme", owned.job) == before
    made = name == "enqueue"
    assert outcome != owned.job if made else not outcome or outcome == "RUNG-JOB-UNKNOWN"
    assert ledger.jobs("acme") == (before,)
