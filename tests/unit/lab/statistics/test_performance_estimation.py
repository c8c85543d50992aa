"""Estimated performance against the performance that labels show afterwards."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lab.statistics import PerformanceEstimator


def rows(n: int, shift: float, seed: int, concept: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident scores, and labels; `shift` moves features, `concept` their meaning."""
    source = np.random.default_rng(seed)
    x = source.normal(shift, 1, n)
    positive = source.random(n) < 1 / (1 + np.exp(-(x + concept)))
    return 1 / (1 + np.exp(-3 * x)), positive


ESTIMATOR = PerformanceEstimator.fit(*rows(50_000, 0, 0))


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7, 1.5])
def test_estimates_follow_a_drift_of_features(shift: float) -> None:
    scores, positive = rows(20_000, shift, 1)
    accuracy = ESTIMATOR.accuracy(scores, seed=0)
    assert accuracy.mean == pytest.approx(((scores >= 0.5) == positive).mean(), abs=0.01)
    auc = ESTIMATOR.auc(scores, seed=0)
    assert auc is not None
    assert auc.mean == pytest.approx(roc_auc_score(positive, scores), abs=0.01)


def formula(n: int, start: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels by two Weyl sequences, the same whatever generator a version has."""
    place = np.arange(start, start + n)
    x = 4 * (place * math.sqrt(2) % 1) - 2 + shift
    positive = place * math.sqrt(3) % 1 < 1 / (1 + np.exp(-x))
    return 1 / (1 + np.exp(-2.5 * x)), positive


@pytest.mark.parametrize(
    ("shift", "accuracy", "auc"),
    [
        (0.0, 0.7193715555648561, 0.7849376724691919),
        (0.7, 0.7471647497002278, 0.8154739167876994),
        (-1.0, 0.748899347696607, 0.7861661392209552),
    ],
)
def test_estimates_are_nannyml_s_to_six_decimals(shift: float, accuracy: float, auc: float) -> None:
    """NannyML 0.13.1 with scikit-learn 1.9.1 on the same rows; its AUC rounds counts to 5 digits.

    CBPE(problem_type="classification_binary", y_pred_proba="score", y_pred="pred", y_true="y",
    metrics=["accuracy", "roc_auc"], chunk_size=1000), fitted on formula(2000, 1, 0) with
    pred = score >= .5, estimate of formula(1000, 5001, shift).
    """
    estimator = PerformanceEstimator.fit(*formula(2000, 1, 0.0))
    scores, _ = formula(1000, 5001, shift)
    assert estimator.accuracy(scores, seed=0).mean == pytest.approx(accuracy, abs=5e-7)
    told = estimator.auc(scores, seed=0)
    assert told is not None and told.mean == pytest.approx(auc, abs=5e-7)


def test_the_interval_holds_what_labels_show() -> None:
    held = held_auc = 0
    for seed in range(100):
        scores, positive = rows(300, 0.5, seed + 10)
        accuracy, auc = ESTIMATOR.accuracy(scores, seed=0), ESTIMATOR.auc(scores, seed=0)
        assert auc is not None
        held += accuracy.ci_low <= ((scores >= 0.5) == positive).mean() <= accuracy.ci_high
        held_auc += auc.ci_low <= roc_auc_score(positive, scores) <= auc.ci_high
    assert held >= 89 and held_auc >= 89  # 95 %, less three standard errors


def test_expected_confusion_by_hand() -> None:
    """Two scores, a third and two thirds of whose rows were positive."""
    estimator = PerformanceEstimator.fit(
        np.repeat([0.2, 0.9], 3), np.array([1, 0, 0, 1, 1, 0], dtype=bool)
    )
    told = estimator.accuracy(np.array([0.2, 0.9, 0.9, 0.9]), seed=0)
    assert told.mean == pytest.approx(2 / 3)
    auc = estimator.auc(np.array([0.2, 0.9]), seed=0)
    assert auc is not None
    # pairs by weight: (2/3·2/3 right + (1/3·2/3 + 2/3·1/3)/2 tied) of 1·1
    assert auc.mean == pytest.approx(2 / 3)


def test_it_is_blind_to_concept_drift() -> None:
    scores, positive = rows(40_000, 0, 2, concept=-2)
    estimated, real = ESTIMATOR.accuracy(scores, seed=0), ((scores >= 0.5) == positive).mean()
    assert estimated.mean - real > 0.05
    assert not estimated.ci_low <= real <= estimated.ci_high


def test_no_area_where_one_class_is_absent() -> None:
    estimator = PerformanceEstimator.fit(np.array([0.1, 0.9]), np.array([True, True]))
    assert estimator.auc(np.array([0.3, 0.5]), seed=0) is None
