"""Calibrators against scikit-learn, scipy and hand-worked values, and through JSON and back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import logit as scipy_logit
from scipy.special import softmax as scipy_softmax
from sklearn.isotonic import IsotonicRegression

from core.calibration import (
    Calibrator,
    Isotonic,
    Platt,
    Temperature,
    Uncalibrated,
    from_json,
    logit,
    sigmoid,
    softmax,
    temper,
)

EACH: list[Calibrator] = [
    Uncalibrated(),
    Temperature(temperature=2.5),
    Platt(slope=0.7, intercept=-1.2),
    Isotonic(scores=(0.1, 0.4, 0.9), probabilities=(0.0, 0.3, 0.3)),
    Isotonic(scores=(0.1, 0.4, 0.9), probabilities=(0.05, 0.3, 1.0), between="constant"),
]
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@pytest.mark.parametrize("calibrator", EACH, ids=lambda c: c.to_json()["kind"])
@given(scores=SCORES)
def test_probabilities_that_keep_the_order(calibrator: Calibrator, scores: list[float]) -> None:
    probabilities = calibrator.apply(np.sort(np.array(scores)))
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= -1e-15).all()


@pytest.mark.parametrize("calibrator", EACH, ids=lambda c: c.to_json()["kind"])
def test_json_and_back_is_the_same_calibrator(calibrator: Calibrator) -> None:
    assert from_json(json.loads(json.dumps(calibrator.to_json()))) == calibrator


def test_temperature_and_platt_against_scipy() -> None:
    scores = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(
        Temperature(temperature=3.0).apply(scores), expit(scipy_logit(scores) / 3), rtol=1e-12
    )
    np.testing.assert_allclose(
        Platt(slope=2.0, intercept=0.5).apply(scores),
        expit(2 * scipy_logit(scores) + 0.5),
        rtol=1e-12,
    )


def test_isotonic_against_scikit_learn() -> None:
    source = np.random.default_rng(5)
    scores = source.random(300)
    labels = (source.random(300) < scores**2).astype(float)
    fitted = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(scores, labels)
    ours = Isotonic(
        scores=tuple(map(float, fitted.X_thresholds_)),
        probabilities=tuple(map(float, fitted.y_thresholds_)),
    )
    asked = np.linspace(-0.2, 1.2, 500)
    np.testing.assert_allclose(ours.apply(asked), fitted.predict(asked), atol=1e-12)


def test_a_constant_piece_holds_until_the_next_knot() -> None:
    steps = Isotonic(scores=(0.2, 0.6), probabilities=(0.1, 0.8), between="constant")
    np.testing.assert_array_equal(
        steps.apply(np.array([0.0, 0.2, 0.59, 0.6, 1.0])), [0.1, 0.1, 0.1, 0.8, 0.8]
    )


@given(st.lists(st.floats(-700, 700), min_size=2, max_size=8))
def test_softmax_sigmoid_and_logit_against_scipy(logits: list[float]) -> None:
    row = np.array(logits)
    np.testing.assert_allclose(softmax(row), scipy_softmax(row), atol=1e-12)
    np.testing.assert_allclose(sigmoid(row), expit(row), atol=1e-12)
    small = np.clip(row, -20, 20)
    np.testing.assert_allclose(logit(sigmoid(small)), small, atol=1e-6)


def test_temperature_one_changes_nothing_and_a_higher_one_flattens() -> None:
    rows = np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(temper(rows, 1.0), rows)
    # p^(1/2) renormalised, worked by hand
    np.testing.assert_allclose(temper(rows, 2.0), np.sqrt(rows) / np.sqrt(rows).sum())


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "spline"},
        {"kind": "temperature"},
        {"kind": "temperature", "temperature": 0},
        {"kind": "temperature", "temperature": float("nan")},
        {"kind": "platt", "slope": -1.0, "intercept": 0.0},
        {"kind": "platt", "slope": 1.0, "intercept": 0.0, "more": 1},
        {"kind": "isotonic", "scores": [0.2, 0.1], "probabilities": [0.1, 0.2]},
        {"kind": "isotonic", "scores": [0.1, 0.2], "probabilities": [0.2, 0.1]},
        {"kind": "isotonic", "scores": [0.1, 0.2], "probabilities": [0.2, 1.1]},
        {"kind": "isotonic", "scores": [], "probabilities": []},
        {"kind": "isotonic", "scores": [0.1], "probabilities": [0.2], "between": "cubic"},
        {"kind": "isotonic", "scores": 3, "probabilities": [0.2]},
    ],
)
def test_what_is_no_calibrator_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_json(content)
