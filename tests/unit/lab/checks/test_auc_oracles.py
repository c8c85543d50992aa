"""The figures of one column alone, against another library, simulation and what must hold."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lab.checks.predictive import (
    FOLDS,
    auc_interval,
    auc_of,
    best,
    folds_of,
    out_of_fold,
    sampled,
    ways_of_numbers,
)

SOURCE_SEED = 7


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_auc_is_that_of_scikit_learn_ties_included(decimals: int) -> None:
    source = np.random.default_rng(SOURCE_SEED)
    scores = np.round(source.normal(size=700), decimals)
    positive = source.random(700) < 0.3
    assert auc_of(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


@pytest.mark.parametrize("true", [0.6, 0.8, 0.95])
def test_the_interval_holds_the_true_auc_in_some_95_of_100_samples(true: float) -> None:
    """Two normals of unit variance have AUC Φ(d / √2)."""
    source = np.random.default_rng(SOURCE_SEED)
    distance = norm.ppf(true) * np.sqrt(2)
    positive = np.repeat([True, False], [60, 140])
    held = 0
    for _ in range(400):
        scores = source.normal(size=200) + distance * positive
        low, high = auc_interval(auc_of(scores, positive), 60, 140)
        held += low <= true <= high
    assert 0.92 <= held / 400 <= 0.995


@pytest.mark.parametrize(("positives", "negatives"), [(10, 40), (20, 40), (50_000, 70_000)])
def test_a_perfect_auc_is_not_known_for_certain(positives: int, negatives: int) -> None:
    low, high = auc_interval(1.0, positives, negatives)
    assert high == 1.0 and 0.5 < low < 1.0
    assert auc_interval(0.0, positives, negatives) == pytest.approx((0.0, 1 - low), abs=1e-9)


def test_more_rows_make_a_narrower_interval() -> None:
    widths = [np.diff(auc_interval(1.0, n, n))[0] for n in (10, 100, 1000, 100_000)]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 1e-4


@pytest.mark.parametrize("levels", [1, 50, 1000, 3000])
def test_values_that_have_nothing_to_do_with_the_label_tell_nothing(levels: int) -> None:
    """In the fold itself, 3,000 values of 3,000 rows would tell the label perfectly."""
    source = np.random.default_rng(SOURCE_SEED)
    positive = source.random(3000) < 0.4
    codes = source.permutation(3000) % levels
    scores = out_of_fold(codes, levels, positive, folds_of(np.arange(3000), 0))
    assert abs(auc_of(scores, positive) - 0.5) < 0.05


def test_out_of_fold_is_what_a_loop_over_the_other_folds_says() -> None:
    source = np.random.default_rng(SOURCE_SEED)
    codes, positive = source.integers(0, 6, 90), source.random(90) < 0.5
    folds = folds_of(np.arange(90), 3)
    scores = out_of_fold(codes, 6, positive, folds)
    for row in range(90):
        others = positive[(folds != folds[row]) & (codes == codes[row])]
        smoothed = (others.sum() + 10 * positive.mean()) / (len(others) + 10)
        assert scores[row] == pytest.approx(smoothed)


def test_a_peak_inside_the_range_is_found_where_the_rank_is_blind() -> None:
    source = np.random.default_rng(SOURCE_SEED)
    positive = source.random(1000) < 0.5
    numbers = np.where(positive, 5.0, source.choice([1.0, 9.0], 1000))
    ways = {way.by: way.auc for way in ways_of_numbers(numbers, positive, np.arange(1000) % FOLDS)}
    assert ways["rank"] < 0.55 and ways["value"] > 0.999


def test_what_is_missing_is_a_way_of_its_own() -> None:
    positive = np.arange(200) % 2 == 0
    numbers = np.where(positive, np.nan, np.arange(200.0))
    way = best(ways_of_numbers(numbers, positive, np.arange(200) // 2 % FOLDS))
    assert way is not None and way.auc == 1.0


def test_a_row_keeps_its_fold_and_its_place_in_a_sample_whatever_else_is_there() -> None:
    sequence = np.arange(5000)
    chosen = sampled(sequence, 1000, 0)
    assert len(chosen) == 1000 and (np.diff(chosen) > 0).all()
    order = np.random.default_rng(1).permutation(5000)
    assert set(order[sampled(order, 1000, 0)]) == set(chosen)
    np.testing.assert_array_equal(folds_of(order, 0), folds_of(sequence, 0)[order])
    share = np.bincount(folds_of(sequence, 0), minlength=FOLDS) / 5000
    assert (abs(share - 1 / FOLDS) < 0.03).all()
