"""The canary's judges: ranks, rates, the split, and answers that say how much is missing."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm

from lab.statistics import (
    block_means,
    error_rate_upper,
    judge_metric,
    judge_rates,
    rows_for_difference,
    rows_without_error,
    sample_ratio_p,
    shift_interval,
)
from lab.statistics.canary import rank_sum_null


def autoregressive(source: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """Latencies around 100 with spread 20."""
    noise = source.normal(size=n) * math.sqrt(1 - correlation**2)
    values = np.empty(n)
    values[0] = source.normal()
    for place in range(1, n):
        values[place] = correlation * values[place - 1] + noise[place]
    return 100 + 20 * values


def test_shift_as_r_tells_it() -> None:
    """wilcox.test(c(10,20,30,40), c(1,2,3,4), conf.int=TRUE, conf.level=.98)"""
    told = shift_interval(np.array([10.0, 20, 30, 40]), np.array([1.0, 2, 3, 4]))
    assert told == (22.5, 6, 39)


def test_null_of_ranks_by_brute_force_and_symmetry() -> None:
    counted = np.zeros(4 * 3 + 1)
    for places in itertools.combinations(range(7), 4):
        counted[sum(places) - 6] += 1
    assert rank_sum_null(4, 3) == pytest.approx(counted / counted.sum())
    large = rank_sum_null(49, 49)
    assert large == pytest.approx(large[::-1])
    assert large.min() > 0


def test_the_interval_is_what_the_test_does_not_reject() -> None:
    source = np.random.default_rng(0)
    for n in (25, 60):  # exact, and by the normal approximation
        ours, theirs = source.normal(1, 1, n), source.normal(0, 1, n)
        _, low, high = shift_interval(ours, theirs)
        for end, inward in ((low, 1), (high, -1)):
            outside = mannwhitneyu(ours - end + inward * 0.05, theirs).pvalue
            inside = mannwhitneyu(ours - end - inward * 0.05, theirs).pvalue
            assert outside < 0.02 < inside


def test_a_thing_seldom_differs_from_itself_but_for_bursts() -> None:
    source = np.random.default_rng(1)
    alarms = {"independent": 0, "bursts": 0, "blocks": 0}
    for _ in range(200):
        alone = [autoregressive(source, 60, 0) for _ in range(2)]
        bursts = [autoregressive(source, 6000, 0.8) for _ in range(2)]
        cases = {
            "independent": alone,
            "bursts": [side[:60] for side in bursts],
            "blocks": [block_means(side, 100) for side in bursts],
        }
        for name, (control, canary) in cases.items():
            told = judge_metric(control, canary, tolerance=0)
            alarms[name] += told.verdict != "inconclusive"
    assert alarms["independent"] / 200 <= 0.05
    assert alarms["bursts"] / 200 > 0.25
    assert alarms["blocks"] / 200 <= 0.06


def by_all_differences(control: np.ndarray, canary: np.ndarray) -> tuple[float, float, float]:
    """shift_interval at 98 % of 60 points a side, from every difference: quicker for many runs."""
    ordered = np.sort(np.subtract.outer(canary, control).ravel())
    rank = math.floor(1800 + norm.ppf(0.01) * math.sqrt(60 * 60 * 121 / 12))
    return (ordered[1799] + ordered[1800]) / 2, ordered[rank - 1], ordered[-rank]


@pytest.mark.parametrize(
    ("correlation", "degraded", "published"),
    [(0.0, 0.0, 0.003), (0.8, 0.0, 0.295), (0.8, 0.2, 0.59)],
)
def test_kayenta_s_rule_on_latencies_as_published(
    correlation: float, degraded: float, published: float
) -> None:
    """60 points a side of an AR(1) with normal noise whose spread is 30 % of the mean.

    Its judge (MannWhitneyClassifier, tolerance .25, confidence .98) tells two things apart where
    the whole interval is beyond a quarter of the estimate, on either side.

    Bursts alone make a thing differ from itself in 29.5 % of comparisons. The published shares
    must lie in the 99 % binomial interval of what 1,000 comparisons show.
    """
    source, runs, found = np.random.default_rng(6), 1000, 0
    for run in range(runs):
        control, canary = (
            100 + 1.5 * (autoregressive(source, 60, correlation) - 100) for _ in range(2)
        )
        canary = canary + 100 * degraded
        estimate, low, high = by_all_differences(control, canary)
        if run < 10:
            assert shift_interval(canary, control) == pytest.approx((estimate, low, high))
        found += low > 0.25 * abs(estimate) or high < -0.25 * abs(estimate)
    held = binomtest(found, runs).proportion_ci(0.99)
    assert held.low <= published <= held.high


def test_metric_verdicts() -> None:
    source = np.random.default_rng(2)
    control = source.normal(100, 10, 200)
    same, worse = source.normal(100, 10, 200), source.normal(130, 10, 200)
    told = judge_metric(control, worse, tolerance=0.1)
    assert (told.verdict, told.within, told.needed) == ("worse", False, None)
    assert judge_metric(control, control - 30, tolerance=0.1).verdict == "better"
    told = judge_metric(control, same, tolerance=0.1)
    assert (told.verdict, told.within, told.needed) == ("inconclusive", True, None)
    few = judge_metric(control[:25], same[:25], tolerance=0.02)
    assert (few.verdict, few.within) == ("inconclusive", False)
    assert few.needed is not None and few.needed > 25


def test_a_wider_spread_is_not_within() -> None:
    source = np.random.default_rng(3)
    control, wild = source.normal(100, 5, 300), source.normal(100, 25, 300)
    told = judge_metric(control, wild, tolerance=0.1)
    assert (told.within, told.why) == (False, "its spread is larger")
    assert judge_metric(wild, control, tolerance=0.1).within  # calmer is no fault


def test_no_traffic_is_no_failure() -> None:
    told = judge_metric(np.arange(100.0), np.array([]), tolerance=0.1)
    assert (told.verdict, told.within, told.why) == ("inconclusive", False, "no traffic yet")
    rates = judge_rates(
        control_errors=5, control_rows=100, canary_errors=0, canary_rows=0, tolerance=0.01
    )
    assert (rates.verdict, rates.within, rates.why) == ("inconclusive", False, "no traffic yet")
    assert rates.needed is not None


def test_rates_have_three_answers() -> None:
    def judged(errors: int, rows: int) -> tuple[str, bool]:
        told = judge_rates(
            control_errors=rows // 20,
            control_rows=rows,
            canary_errors=errors,
            canary_rows=rows,
            tolerance=0.01,
        )
        return told.verdict, told.within

    assert judged(4000, 40_000) == ("worse", False)
    assert judged(1000, 40_000) == ("better", True)
    assert judged(2000, 40_000) == ("inconclusive", True)
    assert judged(5, 100) == ("inconclusive", False)
    assert judged(0, 50) == ("inconclusive", False)  # sparse errors do not pass


def test_rates_looked_at_often_hold_their_level() -> None:
    source, alarms = np.random.default_rng(4), 0
    for _ in range(200):
        control, canary = (source.binomial(200, 0.05, 100).cumsum() for _ in range(2))
        alarms += any(
            judge_rates(
                control_errors=int(a),
                control_rows=200 * look,
                canary_errors=int(b),
                canary_rows=200 * look,
                tolerance=0,
            ).verdict
            != "inconclusive"
            for look, (a, b) in enumerate(zip(control, canary, strict=True), 1)
        )
    assert alarms / 200 <= 0.06


def test_the_split_itself() -> None:
    assert sample_ratio_p([5000, 5050], [1, 1]) > 0.05
    assert sample_ratio_p([5000, 5400], [1, 1]) < 0.001
    assert sample_ratio_p([900, 100], [0.9, 0.1]) == 1.0
    assert sample_ratio_p([0, 0], [1, 1]) == 1.0
    expected = binomtest(5000, 10_400).pvalue
    assert sample_ratio_p([5000, 5400], [1, 1]) == pytest.approx(expected, rel=0.05)


def test_no_errors_still_allow_some() -> None:
    assert error_rate_upper(0, 100) == pytest.approx(0.030, abs=0.0005)
    assert error_rate_upper(0, 300) == pytest.approx(0.010, abs=0.0001)
    expected = binomtest(3, 200, alternative="less").proportion_ci(0.95, method="exact").high
    assert error_rate_upper(3, 200) == pytest.approx(expected)
    assert error_rate_upper(0, 0) == error_rate_upper(4, 4) == 1.0
    n = rows_without_error(0.01)
    assert error_rate_upper(0, n) <= 0.01 < error_rate_upper(0, n - 1)


def test_rows_for_a_difference_have_the_power_they_promise() -> None:
    n = rows_for_difference(0.05, 0.06)
    assert n == 8158  # Fleiss 1981: 8,158 a side for 5 against 6 %, 5 %, 80 %
    source = np.random.default_rng(5)
    a, b = source.binomial(n, 0.05, 20_000) / n, source.binomial(n, 0.06, 20_000) / n
    pooled = (a + b) / 2
    z = np.abs(b - a) / np.sqrt(2 * pooled * (1 - pooled) / n)
    assert (z > norm.ppf(0.975)).mean() == pytest.approx(0.8, abs=0.01)
    assert rows_for_difference(0.05, 0.05) is None
