"""The newest entry is in force, for releases and indexes alike."""

import pytest

from core.errors import InvalidRequest
from core.store import Store
from core.store.documents import CorpusName
from core.store.indexes import NewIndex, add_index


def test_registering_makes_live_and_an_older_one_again_is_a_rollback(store: Store) -> None:
    assert store.live_release("acme", "support") is None
    for digest in ("one", "two", "one"):
        store.register_release("acme", "support", digest)
        assert store.live_release("acme", "support") == digest
    store.register_release("acme", "billing", "three")
    assert store.live_release("acme", "support") == "one"
    assert store.decision_names("acme") == ("billing", "support")
    store.register_release("other", "support", "four")
    assert store.live_decisions() == (
        ("acme", "billing"),
        ("acme", "support"),
        ("other", "support"),
    )
    with pytest.raises(InvalidRequest):
        store.register_release("acme", "", "five")


def test_each_corpus_has_its_newest_index(store: Store) -> None:
    assert store.current_indexes("acme", "support", "space") == {}
    for corpus, artifact in (("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("a", "1")):
        which = CorpusName(tenant_id="acme", decision="support", corpus=corpus)
        new = NewIndex(artifact_id=artifact, fingerprint="space")
        with store.writing() as connection:
            add_index(connection, which, new, revision=1, through=0, now=store.now())
    current = store.current_indexes("acme", "support", "space")
    assert {corpus: row.artifact_id for corpus, row in current.items()} == {"a": "1", "b": "4"}
