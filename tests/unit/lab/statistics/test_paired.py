"""Clustered intervals: coverage, the two scores against scikit-learn, and order of rows."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lab.clustered import mean_interval
from lab.statistics import RankedScores, paired_interval, paired_mean


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


def test_mean_agrees_with_the_other_bootstrap_of_the_house() -> None:
    values, owners = of_customers(3)
    ours = paired_mean(values, owners, resamples=4000, seed=1)
    theirs = mean_interval(values.tolist(), [str(owner) for owner in owners], seed=2)
    told = (ours.mean, ours.ci_low, ours.ci_high)
    assert told == pytest.approx([theirs[key] for key in ("mean", "ci_low", "ci_high")], abs=0.003)
    assert (ours.n, ours.clusters) == (theirs["n"], theirs["clusters"])


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
