"""The null of ECE at the sizes of the page, and the bands of the reliability diagram."""

import numpy as np
import pytest

from lab.statistics import (
    calibration_error,
    ece_null,
    expected_calibration_error,
    reliability_bins,
)


@pytest.mark.parametrize(("n", "expected"), [(100, 0.1225), (1000, 0.0385), (10_000, 0.0120)])
def test_ece_of_a_perfectly_calibrated_model_is_not_zero(n: int, expected: float) -> None:
    source = np.random.default_rng(0)
    scores = [source.random(n) for _ in range(400)]
    drawn = [expected_calibration_error(top, source.random(n) < top) for top in scores]
    assert np.mean(drawn) == pytest.approx(expected, rel=0.02)
    if n < 10_000:  # a thousand draws of the null for one set of scores
        assert ece_null(scores[0])["mean"] == pytest.approx(expected, rel=0.06)


def test_a_miscalibrated_model_is_beyond_its_null() -> None:
    source = np.random.default_rng(1)
    top = source.random(2000)
    right = source.random(2000) < top**2
    assert expected_calibration_error(top, right) > ece_null(top)["p95"]


def test_bins_against_a_plain_reading() -> None:
    source = np.random.default_rng(2)
    top = np.append(source.random(500), [0.0, 1.0])
    right = source.random(502) < 0.5
    told = reliability_bins(top, right, bins=10)
    edges = np.linspace(0, 1, 11)
    for place, one in enumerate(told):
        inside = (top >= edges[place]) & ((top < edges[place + 1]) | (place == 9))
        assert one.n == inside.sum()
        assert one.confidence == pytest.approx(top[inside].mean())
        assert one.observed == pytest.approx(right[inside].mean())
    gaps = sum(one.n * abs(one.observed - one.confidence) for one in reliability_bins(top, right))
    assert gaps / 502 == pytest.approx(expected_calibration_error(top, right))


def test_null_bands_hold_what_they_say() -> None:
    source = np.random.default_rng(3)
    inside = total = 0
    for _ in range(100):
        top = source.random(1000)
        for one in reliability_bins(top, source.random(1000) < top):
            inside += one.null_low <= one.observed <= one.null_high
            total += 1
    assert 0.94 <= inside / total <= 0.985


def test_certain_scores_have_a_band_of_one_point() -> None:
    low, high = reliability_bins(np.array([0.0, 0.0, 1.0]), np.array([False, False, True]))
    assert (low.null_low, low.null_high, high.null_low, high.null_high) == (0, 0, 1, 1)


@pytest.mark.parametrize("off", [0.0, 0.1])
def test_the_interval_of_an_ece_is_about_the_ece_of_this_n(off: float) -> None:
    """Its mean over many samples of 300 rows is in it; plain percentiles would lie above it."""

    def sample(source: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        top = source.random(300)
        return top, source.random(300) < np.clip(top + off, 0, 1)

    source = np.random.default_rng(1)
    usual = np.mean([expected_calibration_error(*sample(source)) for _ in range(2000)])
    told = [calibration_error(*sample(source), seed=0) for _ in range(60)]
    assert sum(one.ci_low <= usual <= one.ci_high for one in told) >= 54
    assert all(one.ci_low <= one.mean <= one.ci_high for one in told)
    assert told[0].mean == pytest.approx(usual, abs=0.05) and told[0].n == 300


def test_rows_of_one_customer_widen_the_interval_of_an_ece() -> None:
    source = np.random.default_rng(2)
    owners = np.repeat(np.arange(60), 20)
    top = np.full(1200, 0.7)
    right = (source.random(60) < 0.6)[owners]
    by_row, by_customer = (calibration_error(top, right, of, seed=0) for of in (None, owners))
    assert by_customer.mean == by_row.mean == expected_calibration_error(top, right)
    assert by_customer.ci_high - by_customer.ci_low > 2 * (by_row.ci_high - by_row.ci_low)
    assert by_customer.clusters == 60
