"""Order statistics of all differences against holding them all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.statistics.pairwise_differences import difference_at, median_difference

TIED = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)
PLAIN = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12)


@settings(deadline=None)  # how quick it is depends on the machine
@given(st.one_of(TIED, PLAIN), st.one_of(TIED, PLAIN))
def test_every_rank_by_brute_force(ours: list[float], theirs: list[float]) -> None:
    left, right = np.array(ours), np.array(theirs)
    expected = np.sort(np.subtract.outer(left, right), axis=None)
    told = [difference_at(left, right, rank) for rank in range(1, len(expected) + 1)]
    assert told == expected.tolist()
    assert median_difference(left, right) == pytest.approx(np.median(expected))


def test_forty_thousand_a_side() -> None:
    """1.6 billion differences; of two normals with one variance the median is that of their gap."""
    source = np.random.default_rng(0)
    ours, theirs = source.normal(0.5, 1, 40_000), source.normal(0, 1, 40_000)
    assert median_difference(ours, theirs) == pytest.approx(0.5, abs=0.03)


def test_what_has_no_order_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        difference_at(np.array([np.nan]), np.ones(3), 1)
    with pytest.raises(ValueError, match="no rank 4"):
        difference_at(np.ones(1), np.ones(3), 4)
