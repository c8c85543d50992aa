"""Drift: PSI against its population value and its null, and verdicts that know their rows."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, norm

from lab.statistics import (
    DriftVerdict,
    Sample,
    binned,
    judge_drift,
    psi,
    psi_p_value,
    quantile_edges,
)


def shares(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    then, now = binned(reference, current)
    return np.maximum(then, 0.5) / len(reference), np.maximum(now, 0.5) / len(current)


def one(reference: np.ndarray, current: np.ndarray) -> DriftVerdict:
    return judge_drift([Sample(feature="x", reference=reference, current=current)])[0]


def normal(n: int, shift: float = 0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, n)


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.1, 0.0096), (0.25, 0.0598), (0.5, 0.2377), (1.0, 0.9261)]
)
def test_population_psi_of_a_shifted_normal(shift: float, expected: float) -> None:
    edges = np.concatenate([[-np.inf], norm.ppf(np.arange(1, 10) / 10), [np.inf]])
    then, now = np.full(10, 0.1), np.diff(norm.cdf(edges - shift))
    assert psi(then, now) == pytest.approx(expected, abs=0.00006)
    measured = psi(*shares(normal(200_000, 0, 1), normal(200_000, shift, 2)))
    assert measured == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize(("n", "expected"), [(100, 0.85), (200, 0.35), (500, 0.002)])
def test_without_drift_psi_passes_a_tenth_by_chance(n: int, expected: float) -> None:
    source = np.random.default_rng(0)
    drawn = [psi(*shares(source.normal(size=n), source.normal(size=n))) for _ in range(1000)]
    assert np.mean(np.array(drawn) > 0.1) == pytest.approx(expected, abs=0.03)
    assert psi_p_value(0.1, n, n, 10) == pytest.approx(expected, abs=0.02)
    false_alarms = np.mean([psi_p_value(one, n, n, 10) < 0.05 for one in drawn])
    assert false_alarms == pytest.approx(0.05, abs=0.025)


def test_one_outlier_hides_drift_from_equal_widths_only() -> None:
    reference, current = normal(5000), normal(5000, 0.53, 1)
    assert psi(*shares(reference, current)) == pytest.approx(0.27, abs=0.03)
    current[0] = 1e6
    assert psi(*shares(reference, current)) == pytest.approx(0.27, abs=0.03)
    edges = np.linspace(-4, 1e6, 11)
    counts = [np.maximum(np.histogram(side, edges)[0], 0.5) for side in (reference, current)]
    assert psi(*(count / 5000 for count in counts)) == pytest.approx(0.00007, abs=0.000005)


def test_a_shift_of_no_consequence_is_significant_and_stable() -> None:
    fired = stable = 0
    for seed in range(40):
        reference, current = normal(10_000, 0, seed), normal(10_000, 0.05, seed + 1000)
        fired += ks_2samp(reference, current).pvalue < 0.05
        stable += one(reference, current).verdict == "stable"
    assert fired / 40 > 0.75  # 90 % of cases
    assert stable == 40


def test_a_shift_of_half_a_deviation_is_drift() -> None:
    told = one(normal(1000), normal(1000, 0.5, 1))
    assert told.verdict == "drift"
    assert told.psi_excess is not None
    assert told.psi_excess == pytest.approx(0.2377, abs=0.08)


def test_few_rows_are_no_statement_unless_the_shift_is_plain() -> None:
    told = one(normal(10_000), normal(100, 0, 1))
    assert told.verdict == "insufficient data"
    assert told.needed == 173  # χ²(.95, 9) = 16.92; 16.92·(1/10,000 + 1/m) <= .1
    assert one(normal(10_000), normal(173, 0, 1)).verdict == "stable"
    assert one(normal(10_000), normal(100, 1.5, 1)).verdict == "drift"
    few = one(normal(10_000), normal(49, 3, 1))
    assert (few.verdict, few.needed, few.psi) == ("insufficient data", 50, None)
    assert one(normal(100), normal(10_000, 0, 1)).needed is None  # a larger reference would do


def test_many_features_without_drift_seldom_flag_any() -> None:
    """Against effects of 0, so that significance alone decides."""
    flagged = 0
    for seed in range(100):
        samples = [
            Sample(
                feature=str(place),
                reference=normal(400, 0, seed * 100 + place),
                current=normal(400, 0, seed * 100 + place + 50),
            )
            for place in range(20)
        ]
        told = judge_drift(samples, psi_effect=0, ks_effect=0)
        flagged += any(verdict.verdict == "drift" for verdict in told)
    assert flagged / 100 <= 0.12  # 5 %, and three standard errors


def test_the_drifted_feature_is_the_one_that_is_named() -> None:
    samples = [
        Sample(
            feature=str(place),
            slice="north",
            reference=normal(2000, 0, place),
            current=normal(2000, 0.6 if place == 3 else 0, place + 50),
        )
        for place in range(10)
    ]
    drifted = [(v.feature, v.slice) for v in judge_drift(samples) if v.verdict == "drift"]
    assert drifted == [("3", "north")]


def test_ties_have_bins_of_their_own() -> None:
    """Six in ten are 0; a value below it that appears now is not lost among them."""
    reference = np.concatenate([np.zeros(600), np.arange(1, 401)])
    then, now = binned(reference, np.concatenate([np.full(100, -1.0), reference]))
    assert then[0] == 0 and now[0] == 100
    assert then[1] == now[1] == 600
    assert then.sum() == 1000 and now.sum() == 1100
    constant = np.ones(500)
    assert one(constant, constant).verdict == "stable"
    assert one(constant, np.zeros(500)).verdict == "drift"
    assert one(constant, np.full(500, 2.0)).verdict == "drift"
    assert np.all(np.diff(quantile_edges(reference)) > 0)


def test_missing_values_and_new_categories_count() -> None:
    with_gaps = normal(2000, 0, 1)
    with_gaps[:600] = np.nan
    assert one(normal(2000), with_gaps).verdict == "drift"
    assert one(normal(2000), np.full(2000, np.nan)).verdict == "drift"
    then = np.array(["a", "b"] * 500)
    assert one(then, then[::-1]).verdict == "stable"
    told = one(then, np.array(["a", "c"] * 500))
    assert (told.verdict, told.ks) == ("drift", None)


@pytest.mark.parametrize(
    ("kinds", "n", "m"), [(20, 1000, 1000), (100, 10_000, 10_000), (500, 1000, 10_000)]
)
def test_many_categories_are_no_drift(kinds: int, n: int, m: int) -> None:
    source, significant, drifted = np.random.default_rng(0), 0, 0
    for _ in range(60):
        sides = [source.integers(0, kinds, rows).astype(str) for rows in (n, m)]
        told = one(*sides)
        significant += told.psi_q is not None and told.psi_q <= 0.05
        drifted += told.verdict == "drift"
    assert significant / 60 <= 0.15  # 5 %, and three standard errors
    assert drifted == 0


def test_a_long_tail_of_names_is_no_drift_but_a_new_common_one_is() -> None:
    """One name in seven of a sample is not in the other, as many are seen once."""
    source = np.random.default_rng(1)
    tails = [source.zipf(1.3, 2000).clip(max=10**6).astype(str) for _ in range(2)]
    assert np.isin(tails[1], tails[0], invert=True).mean() > 0.1
    assert one(*tails).verdict != "drift"
    replaced = np.where(source.random(2000) < 0.2, "new", tails[1])
    assert one(tails[0], replaced).verdict == "drift"


def test_names_that_are_all_rare_are_not_compared() -> None:
    names = np.arange(2000).astype(str)
    told = one(names[:1000], names[1000:])
    assert (told.verdict, told.psi, told.needed) == ("insufficient data", None, None)
    alike = np.full(500, "a")
    assert one(alike, alike).verdict == "stable"
