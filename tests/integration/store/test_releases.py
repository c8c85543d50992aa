"""The newest entry is in force, for releases and indexes alike."""

import pytest

from core.errors import InvalidRequest
from core.store import Store


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
    assert store.current_indexes("acme", "support") == {}
    for corpus, artifact in (("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("a", "1")):
        store.register_index("acme", "support", corpus, artifact)
    assert store.current_indexes("acme", "support") == {"a": "1", "b": "4"}
    assert store.current_index("acme", "support", "b") == "4"
    assert store.current_index("acme", "support", "c") is None
