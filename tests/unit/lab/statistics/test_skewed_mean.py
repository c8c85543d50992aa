"""Hall's transformation: its inverse, its interval, and coverage on skewed losses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew, t

from lab.statistics.skewed_mean import skewed, skewed_interval, skewness_of_mean, unskewed

STATISTICS = st.floats(-10, 10)
SKEWNESSES = st.floats(-1.5, 1.5).filter(lambda value: abs(value) > 1e-3)


@given(STATISTICS, SKEWNESSES)
def test_the_inverse_undoes_it(statistic: float, skewness: float) -> None:
    assert skewed(unskewed(statistic, skewness), skewness) == pytest.approx(statistic, abs=1e-3)


@given(STATISTICS, STATISTICS, SKEWNESSES)
def test_it_is_monotone(one: float, other: float, skewness: float) -> None:
    low, high = sorted([one, other])
    assert unskewed(low, skewness) <= unskewed(high, skewness) + 1e-9


def test_nothing_is_done_without_skew() -> None:
    assert unskewed(2.0, 0.0) == skewed(2.0, 0.0) == 2.0
    assert skewed_interval(1.0, 0.5, 0.0, 2.0) == (0.0, 2.0)
    assert skewness_of_mean(np.zeros(3)) == 0.0


def test_skewness_of_a_plain_mean() -> None:
    values = np.random.default_rng(0).exponential(size=50)
    influence = (values - values.mean()) / 50
    assert skewness_of_mean(influence) == pytest.approx(skew(values) / np.sqrt(50))


def test_either_end_misses_as_often_as_it_should() -> None:
    """One-sided 95 % limits of an exponential mean from 50 values; plain t misses 9 % and 2 %."""
    source, runs, n = np.random.default_rng(1), 4000, 50
    at = float(t.ppf(0.95, n - 1))
    missed, plain = np.zeros(2), np.zeros(2)
    for _ in range(runs):
        values = source.exponential(size=n)
        mean, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
        low, high = skewed_interval(mean, error, skewness_of_mean((values - mean) / n), at)
        missed += [high < 1, low > 1]
        plain += [mean + at * error < 1, mean - at * error > 1]
    assert missed / runs == pytest.approx([0.05, 0.05], abs=0.02)
    assert plain[0] / runs > 0.08 and plain[1] / runs < 0.03
