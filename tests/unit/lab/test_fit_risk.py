"""Fitting of the risk model on data whose truth is known, and the refusals."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.calibration import Isotonic, Platt, Uncalibrated, sigmoid
from core.errors import InvalidDocument
from lab.fit_calibration import at_most_by_rank, choose_calibrator, fit_isotonic, fit_platt
from lab.fit_risk import fit_risk

NAMES = ("a", "b", "c")


def world(n: int = 3000, seed: int = 0) -> tuple[Any, Any, Any]:
    """Rows, labels and the true probabilities, which a linear model cannot reach."""
    source = np.random.default_rng(seed)
    rows = source.normal(size=(n, 3))
    truth = sigmoid(3 * ((rows[:, 0] > 0) ^ (rows[:, 1] > 0)) - 2.5)
    labels = (source.random(n) < truth).astype(int)
    rows[source.random((n, 3)) < 0.05] = np.nan
    return rows, labels, truth


def test_the_truth_is_found_and_the_report_is_of_the_tail() -> None:
    rows, labels, _ = world(6000)
    model, report = fit_risk(rows, labels, NAMES, share=0.01)
    assert report["rows"] == {"fit": 3600, "calibrate": 1200, "test": 1200}
    assert report["base_rate"]["test"] == pytest.approx(labels[4800:].mean())
    for figure in ("auc", "average_precision", "log_loss", "brier"):
        low, high = report["intervals"][figure]
        assert low <= report[figure] <= high
    assert report["step"] == "boosted"
    for baseline in ("shallow_tree", "linear", "constant"):
        assert report["baselines"][baseline]["uplift"]["ci_low"] > 0
    fresh, _, truth = world(seed=1)
    assert roc_auc_score(truth > 0.5, model.predict(fresh)) > 0.9
    assert np.abs(model.predict(fresh) - truth).mean() < 0.1


def test_labels_that_nothing_explains_earn_no_uplift() -> None:
    rows, _, _ = world()
    labels = (np.random.default_rng(7).random(len(rows)) < 0.3).astype(int)
    _, report = fit_risk(rows, labels, NAMES, share=0.01)
    assert report["step"] == "constant"
    assert report["baselines"]["boosted"]["auc"] < 0.55


def test_the_tail_has_no_part_in_what_is_judged() -> None:
    """Other labels in the last fifth change figures and choice, not the models that they are of."""
    rows, labels, _ = world(6000)
    turned = labels.copy()
    turned[4800:] = 1 - turned[4800:]
    _, report = fit_risk(rows, labels, NAMES, share=0.01)
    _, other = fit_risk(rows, turned, NAMES, share=0.01)
    ours, theirs = report["auc"], other["baselines"]["boosted"]["auc"]
    assert report["step"] == "boosted" != other["step"]
    assert ours == pytest.approx(1 - theirs)


def test_the_same_rows_give_the_same_bytes() -> None:
    rows, labels, _ = world(600)
    for truth in (labels, None):
        first, second = (fit_risk(rows, truth, NAMES, share=0.05, seed=3)[0] for _ in range(2))
        assert first.to_files() == second.to_files()


def test_without_labels_outliers_are_the_risky_ones() -> None:
    source = np.random.default_rng(4)
    rows = source.normal(size=(1000, 3))
    strange = np.arange(0, 1000, 50)
    rows[strange] += 6
    rows[::7, 2] = np.nan
    model, report = fit_risk(rows, None, NAMES, share=0.02)
    found = model.predict(rows)
    assert roc_auc_score(np.isin(np.arange(1000), strange), found) > 0.95
    assert np.median(found) == pytest.approx(0.02)  # an ordinary row has the declared share
    assert report["judged"] is False


def test_a_column_that_is_never_known_does_no_harm() -> None:
    rows, labels, _ = world(600)
    rows[:, 2] = np.nan
    for truth in (labels, None):
        model, _ = fit_risk(rows, truth, NAMES, share=0.02)
        assert np.isfinite(model.predict(rows)).all()


def test_calibration_is_chosen_by_later_rows() -> None:
    source = np.random.default_rng(6)
    truth = source.random(4000)
    labels = (source.random(4000) < truth).astype(float)
    assert isinstance(choose_calibrator(truth, labels), Uncalibrated)
    skewed = sigmoid(0.3 * np.log(truth / (1 - truth)) + 2)
    mended = choose_calibrator(skewed, labels)
    assert isinstance(mended, Platt)
    assert mended.slope == pytest.approx(1 / 0.3, rel=0.1)
    folded = np.abs(truth - 0.5)  # not monotone in the truth, so that no sigmoid fits well
    stepped = (source.random(4000) < np.where(folded > 0.25, 0.9, 0.6)).astype(float)
    assert isinstance(choose_calibrator(folded, stepped), Isotonic)
    assert isinstance(choose_calibrator(truth, np.zeros(4000)), Uncalibrated)


def test_fitted_calibrators_stay_finite_on_separable_scores() -> None:
    scores, labels = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    platt = fit_platt(scores, labels).apply(scores)
    isotonic = fit_isotonic(scores, labels).apply(scores)
    for probabilities in (platt, isotonic):
        assert 0 < probabilities.min() < 0.5 < probabilities.max() < 1


def test_the_bound_by_rank_against_its_formula() -> None:
    scores = np.arange(1, 1001) / 1001
    bound = at_most_by_rank(scores, 0.05)
    part = (1 + 10) / 1001  # of the highest ten
    expected = 1 / (1 + 19 * -np.e * part * np.log(part))
    # between two of the kept quantiles the bound is a straight line
    assert bound.apply(np.array([991 / 1001]))[0] == pytest.approx(expected, rel=0.05)
    assert bound.apply(np.array([0.2]))[0] == pytest.approx(0.05)
    assert bound.apply(np.array([2.0]))[0] < 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(600), "0 of 600"),
        (np.ones(600), "600 of 600"),
        (np.repeat([1, 0], [300, 300]), "the rows to calibrate"),
        (np.where(np.arange(600) == 5, np.nan, 0.0), "row 5"),
        (np.where(np.arange(600) == 5, 2.0, 0.0), "row 5"),
        (np.array([None, 1] * 300), "row 0"),
        (np.array(["yes", "no"] * 300), "neither 0 nor 1"),
        (np.zeros(599), "599"),
    ],
)
def test_labels_that_cannot_be_learnt_from_are_refused(labels: Any, message: str) -> None:
    rows, _, _ = world(600)
    with pytest.raises(InvalidDocument, match=message) as caught:
        fit_risk(rows, labels, NAMES, share=0.01)
    assert caught.value.code == "RUNG-RISK-LABELS"


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_infinite_features_are_refused_by_name(value: float) -> None:
    rows, labels, _ = world(600)
    rows[3, 1] = value
    for truth in (labels, None):
        with pytest.raises(InvalidDocument, match="'b'") as caught:
            fit_risk(rows, truth, NAMES, share=0.01)
        assert caught.value.code == "RUNG-RISK-FEATURES"


def test_too_few_rows_and_unnamed_columns_are_refused() -> None:
    rows, labels, _ = world(40)
    with pytest.raises(InvalidDocument) as caught:
        fit_risk(rows, labels, NAMES, share=0.01)
    assert caught.value.code == "RUNG-TABLE-SHORT"
    with pytest.raises(InvalidDocument) as caught:
        fit_risk(rows, labels, NAMES[:2], share=0.01)
    assert caught.value.code == "RUNG-RISK-FEATURES"
