"""Clustered intervals: coverage, the two scores against scikit-learn, and order of rows."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lab.statistics import (
    RankedScores,
    paired_interval,
    paired_mean,
    paired_ratio,
    resampled,
    units_of,
)


def of_customers(seed: int, customers: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Uplift of a fraud model: some customers have many rows, and theirs go well or ill together.

    The mean over rows is 0.05 in the population.
    """
    source = np.random.default_rng(seed)
    sizes = source.integers(1, 20, customers)
    owners = np.repeat(np.arange(customers), sizes)
    shared = source.normal(0.05, 0.2, customers)
    return shared[owners] + source.normal(0, 0.3, len(owners)), owners


def test_the_customers_interval_covers_and_the_rows_does_not() -> None:
    runs, by_customer, by_row = 200, 0, 0
    for seed in range(runs):
        values, owners = of_customers(seed)
        wide = paired_mean(values, owners, resamples=400, seed=0)
        narrow = paired_mean(values, resamples=400, seed=0)
        by_customer += wide.ci_low <= 0.05 <= wide.ci_high
        by_row += narrow.ci_low <= 0.05 <= narrow.ci_high
        assert wide.mean == pytest.approx(narrow.mean)
    assert 0.90 <= by_customer / runs <= 0.98
    assert by_row / runs < 0.8


def test_rows_of_one_customer_are_not_many_customers() -> None:
    source = np.random.default_rng(0)
    effects = source.normal(size=50)
    values, owners = np.repeat(effects, 20) + source.normal(0, 0.1, 1000), np.repeat(range(50), 20)
    by_customer, by_row = paired_mean(values, owners, seed=0), paired_mean(values, seed=0)
    # All variance is between customers: the honest error is sd/sqrt(50), not sd/sqrt(1000).
    width = by_customer.ci_high - by_customer.ci_low
    assert width == pytest.approx(2 * 1.96 * effects.std(ddof=1) / np.sqrt(50), rel=0.15)
    assert width > 3 * (by_row.ci_high - by_row.ci_low)
    assert (by_customer.n, by_customer.clusters) == (1000, 50)


def test_rows_that_are_nobody_s_stand_alone() -> None:
    assert len(set(units_of([None, "a", None, "a", 1, "row 0"]))) == 5


def test_a_share_s_interval_covers() -> None:
    """Ours saves 0.6 of what theirs saves in the population, on the same customers' rows."""
    covered = 0
    for seed in range(200):
        source = np.random.default_rng(seed)
        owners = np.repeat(np.arange(100), source.integers(1, 9, 100))
        shared = source.normal(1, 0.5, 100)[owners]
        theirs = shared + source.normal(0, 0.5, len(owners))
        ours = 0.6 * shared + source.normal(0, 0.5, len(owners))
        told = paired_ratio(ours, theirs, owners, resamples=400, seed=0)
        assert told.mean == pytest.approx(ours.sum() / theirs.sum())
        covered += told.ci_low <= 0.6 <= told.ci_high
    assert 0.90 <= covered / 200 <= 0.98
    with pytest.raises(ValueError, match="nothing"):
        paired_ratio(np.ones(3), -np.ones(3), seed=0)


def test_two_samples_that_have_nothing_to_do_with_each_other() -> None:
    """Their difference's error is the root of both squares, also where both draw by one seed."""
    source = np.random.default_rng(7)
    one, other = source.normal(1, 2, 400), source.normal(0.4, 3, 900)
    means = [
        resampled(lambda w, of=values: float(np.average(of, weights=w)), len(values), seed=0)
        for values in (one, other)
    ]
    told = means[0].less(means[1])
    assert told.mean == pytest.approx(one.mean() - other.mean())
    expected = 1.96 * np.sqrt(one.var() / 400 + other.var() / 900)
    assert (told.ci_high - told.ci_low) / 2 == pytest.approx(expected, rel=0.1)
    assert told.n == 400


def test_mean_and_figure_draw_the_same_distribution() -> None:
    values, owners = of_customers(4)
    as_mean = paired_mean(values, owners, resamples=4000, seed=1)
    as_figure = paired_interval(
        lambda w: float(np.average(values, weights=w)), owners, resamples=4000, seed=1
    )
    assert as_figure.mean == pytest.approx(as_mean.mean)
    assert as_figure.ci_low == pytest.approx(as_mean.ci_low, abs=0.003)
    assert as_figure.ci_high == pytest.approx(as_mean.ci_high, abs=0.003)


def test_the_order_of_rows_and_the_names_of_customers_have_no_say() -> None:
    values, owners = of_customers(5)
    order = np.random.default_rng(0).permutation(len(values))
    names = np.array([f"c{(owner * 7) % 150:03d}" for owner in owners])
    told = paired_mean(values, owners, seed=0)
    assert told == paired_mean(values[order], names[order], seed=0)
    labels = values > 0.3

    def difference(rows: np.ndarray) -> tuple[float, float, float]:
        one = RankedScores(values[rows], labels[rows])
        other = RankedScores(np.sin(values[rows]), labels[rows])
        told = paired_interval(
            lambda w: one.auc(w) - other.auc(w), owners[rows], resamples=50, seed=0
        )
        return told.mean, told.ci_low, told.ci_high

    assert difference(order) == pytest.approx(difference(np.arange(len(values))), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=40
    )
)
def test_weighted_figures_are_those_of_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    ranked, weights = RankedScores(scores, positive), weights.astype(float)
    drawn = np.repeat(np.arange(len(rows)), weights.astype(int))
    if positive[drawn].any() and not positive[drawn].all():
        expected = roc_auc_score(positive[drawn], scores[drawn])
        assert ranked.auc(weights) == pytest.approx(expected)
    else:
        assert np.isnan(ranked.auc(weights))
    if positive[drawn].any():
        expected = average_precision_score(positive[drawn], scores[drawn])
        assert ranked.average_precision(weights) == pytest.approx(expected)
    else:
        assert np.isnan(ranked.average_precision(weights))


def test_weights_that_are_no_counts_against_scikit_learn() -> None:
    source = np.random.default_rng(6)
    scores, positive = source.integers(0, 40, 500), source.random(500) < 0.3
    weights, ranked = source.exponential(size=500), RankedScores(scores, positive)
    expected = roc_auc_score(positive, scores, sample_weight=weights)
    assert ranked.auc(weights) == pytest.approx(expected, abs=1e-12)
    expected = average_precision_score(positive, scores, sample_weight=weights)
    assert ranked.average_precision(weights) == pytest.approx(expected, abs=1e-12)


def test_samples_without_a_positive_are_left_out() -> None:
    positive = np.arange(40) == 39
    ranked = RankedScores(np.arange(40.0), positive)
    told = paired_interval(ranked.auc, 40, resamples=100, seed=0)
    assert told.mean == told.ci_low == told.ci_high == 1.0
    with pytest.raises(ValueError, match="not defined"):
        paired_interval(RankedScores(np.arange(4.0), np.zeros(4)).auc, 4, seed=0)


def test_empty_and_mismatched_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        paired_mean(np.array([]), seed=0)
    with pytest.raises(ValueError, match="at least one row"):
        paired_interval(lambda w: 0.0, [], seed=0)
    with pytest.raises(ValueError, match="2 clusters for 3 rows"):
        paired_mean(np.ones(3), ["a", "b"], seed=0)


def test_twenty_thousand_rows_take_seconds() -> None:
    source = np.random.default_rng(0)
    values, positive = source.normal(size=20_000), source.random(20_000) < 0.1
    ours = RankedScores(values + positive, positive)
    theirs = RankedScores(source.normal(size=20_000), positive)
    start = time.perf_counter()
    paired_mean(values, seed=0)
    paired_interval(lambda w: ours.auc(w) - theirs.auc(w), 20_000, resamples=300, seed=0)
    assert time.perf_counter() - start < 10
