"""Scores: the newest of a key stands, tenants are apart, and what is long over goes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from core.errors import InvalidRequest, Unavailable
from core.store import Store
from core.store.scores import KEPT_AFTER_EXPIRY, ROWS_A_TRANSACTION, ScoredRows
from core.store.tables import score_runs
from tests.fakes.clock import FixedClock

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def rows(
    keys: Sequence[str], at: datetime = AT, p: float = 0.5, outcome: str = "hold"
) -> ScoredRows:
    return ScoredRows(
        release="r1",
        scored_at=at,
        expires_at=at + DAY,
        keys=keys,
        probabilities=[p + place / 10_000_000 for place in range(len(keys))],
        outcomes=[outcome] * len(keys),
        digests=["d"] * len(keys),
    )


def test_kept_and_found(store: Store) -> None:
    assert store.keep_scores("acme", "loans", rows(["a", "b"])) == 2
    found = store.scores("acme", "loans", ["a", "b", "c"])
    assert set(found) == {"a", "b"}
    one = found["b"]
    assert (one.key, one.probability, one.outcome) == ("b", 0.5 + 1 / 10_000_000, "hold")
    assert (one.scored_at, one.expires_at, one.release) == (AT, AT + DAY, "r1")
    assert store.scores("other", "loans", ["a"]) == {}
    assert store.scores("acme", "others", ["a"]) == {}


def test_of_one_key_the_last_row_and_the_newest_run_stand(store: Store) -> None:
    assert store.keep_scores("acme", "loans", rows(["a", "b", "a"])) == 2
    assert store.scores("acme", "loans", ["a"])["a"].probability == 0.5 + 2 / 10_000_000
    store.keep_scores("acme", "loans", rows(["a"], AT + DAY, outcome="pass"))
    store.keep_scores("acme", "loans", rows(["a", "c"], AT, p=0.1))  # run late, or once more
    found = store.scores("acme", "loans", ["a", "c"])
    assert (found["a"].outcome, found["c"].probability) == ("pass", 0.1 + 1 / 10_000_000)
    store.keep_scores("acme", "loans", rows(["a"], AT + DAY, p=0.9))  # the same moment again
    assert store.scores("acme", "loans", ["a"])["a"].probability == 0.9


def test_each_score_says_its_own_run(store: Store) -> None:
    """A job that is run again after another release went live has the moment of its first try."""
    store.keep_scores("acme", "loans", rows(["a", "b"]))
    store.keep_scores("acme", "loans", replace(rows(["b", "c"]), release="r2"))
    store.keep_scores("acme", "loans", rows(["d"]))  # the first run goes on
    store.keep_scores("other", "loans", rows(["a"], AT + DAY))
    found = store.scores("acme", "loans", list("abcd"))
    assert {key: one.release for key, one in found.items()} == dict(a="r1", b="r2", c="r2", d="r1")
    assert {one.scored_at for one in found.values()} == {AT}
    assert store.scores("other", "loans", ["a"])["a"].expires_at == AT + 2 * DAY


def test_more_than_one_transaction(store: Store) -> None:
    keys = [f"k{number}" for number in range(12_345)]
    assert store.keep_scores("acme", "loans", rows(keys)) == 12_345
    found = store.scores("acme", "loans", keys)
    assert [found[key].probability for key in keys] == rows(keys).probabilities


def test_an_error_while_rows_are_copied_is_told_as_any_other_of_the_database(
    postgres_url: str, clock: FixedClock
) -> None:
    """Here its statements may take a tenth of a second, and these rows are 200 MB."""
    Store.open(postgres_url, clock).close()  # its tables, which may take longer
    hasty = Store.open(f"{postgres_url}?options=-c%20statement_timeout%3D100", clock)
    keys = [f"k{number}" for number in range(ROWS_A_TRANSACTION)]
    with pytest.raises(Unavailable, match="RUNG-STORE-UNAVAILABLE"):
        hasty.keep_scores("acme", "loans", replace(rows(keys), digests=["d" * 20_000] * len(keys)))
    assert hasty.scores("acme", "loans", keys[:1]) == {}
    hasty.close()


def test_fresh_until_it_expires_or_another_release_is_live(store: Store) -> None:
    store.keep_scores("acme", "loans", rows(["a"]))
    one = store.scores("acme", "loans", ["a"])["a"]
    last = AT + DAY - timedelta(microseconds=1)
    assert one.is_fresh("r1", last) and not one.is_fresh("r1", AT + DAY)
    assert not one.is_fresh("r2", last) and not one.is_fresh(None, last)


def test_what_is_long_over_is_forgotten(store: Store, clock: FixedClock) -> None:
    keys = [f"old {n}" for n in range(ROWS_A_TRANSACTION + 1)]
    store.keep_scores("acme", "loans", rows(keys))
    store.keep_scores("acme", "loans", rows(["new"], AT + 2 * DAY))
    store.keep_scores("other", "loans", rows(["old"]))
    assert clock.now() == AT
    clock.advance(days=1 + KEPT_AFTER_EXPIRY.days)
    assert store.prune_scores() == 0
    clock.advance(seconds=1)
    assert store.prune_scores() == len(keys) + 1
    assert store.scores("acme", "loans", ["new", *keys]).keys() == {"new"}
    assert not store.scores("other", "loans", ["old"])


def test_what_a_newer_run_has_overtaken_is_not_forgotten(store: Store, clock: FixedClock) -> None:
    keys = [f"k{n:05}" for n in range(2 * ROWS_A_TRANSACTION)]
    store.keep_scores("acme", "loans", rows(keys))
    store.keep_scores("acme", "others", rows(keys[:1], AT + DAY))
    store.keep_scores("acme", "loans", rows(keys[1:-1], AT + DAY, outcome="pass"))
    clock.advance(days=1 + KEPT_AFTER_EXPIRY.days, seconds=1)
    assert store.prune_scores() == 2
    found = store.scores("acme", "loans", keys)
    assert list(found) == keys[1:-1] and {one.outcome for one in found.values()} == {"pass"}
    assert store.prune_scores() == 0
    clock.advance(days=1)
    assert store.prune_scores() == len(keys) - 1
    with store.reading() as connection:
        assert connection.execute(select(score_runs)).all() == []


def test_what_would_be_forgotten_at_once_is_not_kept(store: Store, clock: FixedClock) -> None:
    clock.advance(days=1 + KEPT_AFTER_EXPIRY.days)
    assert store.keep_scores("acme", "loans", rows(["a"])) == 1
    clock.advance(seconds=1)
    assert store.keep_scores("acme", "loans", rows(["b"])) == 0
    assert store.scores("acme", "loans", ["a", "b"]).keys() == {"a"}


def test_hidden_keys_are_pseudonyms_of_their_tenant(store: Store) -> None:
    (here,) = store.score_keys("acme", ["anna@example.com"], hidden=True)
    (there,) = store.score_keys("other", ["anna@example.com"], hidden=True)
    assert here != there and len(here) == 24 and "anna" not in here
    assert store.score_keys("acme", ["17"], hidden=False) == ["17"]
    with pytest.raises(InvalidRequest, match="RUNG-TEXT-INVALID"):
        store.score_keys("acme", ["a\0b"], hidden=False)
