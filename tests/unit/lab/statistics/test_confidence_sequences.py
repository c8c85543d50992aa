"""Confidence sequences against the reference implementation of the paper's authors."""

import numpy as np
import pytest

from lab.statistics import (
    bernoulli_interval,
    log_normal_mixture,
    normal_mixture_bound,
    normal_mixture_rho,
)


def test_normal_mixture() -> None:
    rho = normal_mixture_rho(100, alpha=0.05)
    assert rho == pytest.approx(12.60056, abs=1e-5)
    assert log_normal_mixture(10, 100, rho=rho) == pytest.approx(-0.6510052, abs=1e-6)
    bound = normal_mixture_bound(100, alpha=0.05, rho=rho)
    assert bound == pytest.approx(30.35209, abs=1e-5)
    assert log_normal_mixture(bound, 100, rho=rho) == pytest.approx(np.log(20))


@pytest.mark.parametrize(
    ("events", "rows", "tightest_at", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (1, 2, 50, 0.0, 1.0),
        (100, 200, 1, 0.328923, 0.671076),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
    ],
)
def test_bernoulli(events: int, rows: int, tightest_at: int, low: float, high: float) -> None:
    told = bernoulli_interval(events, rows, tightest_at=tightest_at)
    assert told == pytest.approx((low, high), abs=2e-6)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="7 events among 5 rows"):
        bernoulli_interval(7, 5, tightest_at=10)


def test_it_holds_at_every_look_where_clopper_and_pearson_do_not() -> None:
    source, missed, looks = np.random.default_rng(0), 0, range(20, 401, 20)
    for _ in range(200):
        events = (source.random(400) < 0.3).cumsum()
        bounds = [bernoulli_interval(int(events[n - 1]), n, tightest_at=100) for n in looks]
        missed += any(not low <= 0.3 <= high for low, high in bounds)
    assert missed / 200 <= 0.05
