"""Conformal sets: the rank of the quantile, and how coverage varies over calibration sets."""

import math

import numpy as np
import pytest

from lab.statistics import (
    conformal_quantile,
    coverage_range,
    judge_sets,
    label_sets,
    least_probability,
)


def drawn(source: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of three classes and truths drawn from them."""
    probabilities = source.dirichlet([1.0, 1.0, 1.0], n)
    labels = (source.random(n)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, np.minimum(labels, 2)


@pytest.mark.parametrize(("n", "expected"), [(100, (0.848, 0.945)), (1000, (0.884, 0.915))])
def test_range_of_coverage(n: int, expected: tuple[float, float]) -> None:
    assert coverage_range(n, 0.1) == pytest.approx(expected, abs=0.0005)


def test_coverage_over_calibration_sets_follows_the_beta() -> None:
    source = np.random.default_rng(0)
    probabilities, labels = drawn(source, 40_000)
    truth = probabilities[np.arange(len(labels)), labels]
    covered = []
    for _ in range(400):
        least = least_probability(*drawn(source, 100), alpha=0.1)
        covered.append((truth >= least).mean())
    low, high = coverage_range(100, 0.1)
    inside = np.mean([low <= share <= high for share in covered])
    assert inside == pytest.approx(0.9, abs=0.045)  # three standard errors
    assert np.mean(covered) == pytest.approx(91 / 101, abs=0.005)


def test_rank_is_exact() -> None:
    scores = np.arange(1.0, 20.0)  # n = 19, alpha = .1: the 18th of 19
    assert conformal_quantile(scores, 0.1) == 18
    assert conformal_quantile(np.arange(1.0, 10.0), 0.1) == 9  # (n+1)·alpha is exactly 1
    assert conformal_quantile(np.arange(1.0, 9.0), 0.1) == math.inf


def test_too_few_rows_leave_no_label_out() -> None:
    probabilities, labels = drawn(np.random.default_rng(1), 8)
    assert label_sets(probabilities, least_probability(probabilities, labels, alpha=0.1)).all()
    assert coverage_range(8, 0.1) == (1.0, 1.0)


def test_the_judgement_counts_rows() -> None:
    sets = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], dtype=bool)
    told = judge_sets(sets, np.array([0, 0, 0, 1]), alpha=0.1, seed=0)
    assert (told.covered.mean, told.answered.mean) == (0.5, 0.5)
    assert told.right is not None
    assert (told.right.mean, told.right.n) == (0.5, 2)
    nothing = judge_sets(np.ones((3, 2), dtype=bool), np.array([0, 1, 0]), alpha=0.1, seed=0)
    assert nothing.right is None
