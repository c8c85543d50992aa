"""Wilson's interval against scipy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rankers.shares import share


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_the_interval_of_events_is_scipys(events: list[bool]) -> None:
    got = share(events)
    theirs = binomtest(sum(events), len(events)).proportion_ci(method="wilson")
    assert got.n == len(events) and got.mean == pytest.approx(sum(events) / len(events))
    assert (got.ci_low, got.ci_high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_values_between_stay_within_bounds(values: list[float]) -> None:
    got = share(values)
    assert 0 <= got.ci_low <= got.mean + 1e-12 and got.mean <= got.ci_high + 1e-12 <= 1 + 1e-12
