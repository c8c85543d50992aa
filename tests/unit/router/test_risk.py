"""The risk model as serving uses it: LightGBM and scikit-learn are the oracles."""

from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest as SklearnForest

from core.calibration import Platt, Uncalibrated, sigmoid
from lab.fit_risk import export_forest, fit_risk
from router.isolation import FLOAT32
from router.risk import BoostedTrees, Isolation, RiskModel

NAMES = ("amount", "age_days", "noise")


def rows_and_labels(n: int = 600, seed: int = 0) -> tuple[Any, Any]:
    source = np.random.default_rng(seed)
    rows = source.normal(size=(n, 3))
    labels = (source.random(n) < sigmoid(3 * rows[:, 0] - rows[:, 1] - 1)).astype(float)
    rows[source.random((n, 3)) < 0.1] = np.nan
    return rows, labels


def booster(rows: Any, labels: Any) -> lightgbm.Booster:
    settings = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True}
    return lightgbm.train(settings, lightgbm.Dataset(rows, labels), num_boost_round=30)


def test_boosted_trees_predict_what_lightgbm_does() -> None:
    rows, labels = rows_and_labels()
    fitted = booster(rows, labels)
    model = RiskModel(
        names=NAMES,
        scorer=BoostedTrees(fitted.model_to_string()),
        calibrator=Platt(slope=1.5, intercept=-0.2),
    )
    expected = sigmoid(1.5 * np.asarray(fitted.predict(rows, raw_score=True)) - 0.2)
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-9)
    one_by_one = np.concatenate([model.predict(row[None, :]) for row in rows[:50]])
    np.testing.assert_array_equal(one_by_one, model.predict(rows[:50]))


def test_reasons_of_boosted_trees_add_up_to_the_log_odds() -> None:
    rows, labels = rows_and_labels()
    fitted = booster(rows, labels)
    scorer = BoostedTrees(fitted.model_to_string())
    row = np.array([3.0, -1.0, np.nan])
    told = np.asarray(fitted.predict(row[None, :], pred_contrib=True))[0]
    np.testing.assert_allclose(scorer.contributions(row), told[:-1])
    assert told.sum() == pytest.approx(np.asarray(fitted.predict(row[None, :], raw_score=True))[0])
    reasons = RiskModel(names=NAMES, scorer=scorer, calibrator=Uncalibrated()).reasons(row)
    assert reasons[0].feature == "amount" and reasons[0].value == 3.0
    strengths = [reason.contribution for reason in reasons]
    assert strengths == sorted(strengths, reverse=True) and min(strengths) > 0


@given(st.integers(0, 2**31), st.integers(2, 400), st.integers(1, 5), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_the_forest_scores_as_scikit_learn_does(seed: int, n: int, d: int, trees: int) -> None:
    source = np.random.default_rng(seed)
    seen = np.round(source.normal(size=(n, d)), 1)  # rounded, so that rows and cuts tie
    fitted = SklearnForest(n_estimators=trees, random_state=seed % 2**31).fit(seen)
    asked = np.vstack([seen, 5 * source.normal(size=(50, d)), np.full((1, d), FLOAT32)])
    ours = export_forest(fitted).scores(asked)
    # scikit-learn adds the paths in float64 too, in another order.
    np.testing.assert_allclose(ours, -fitted.score_samples(asked), rtol=1e-12)


def test_a_large_batch_scores_like_its_rows() -> None:
    seen = np.random.default_rng(1).normal(size=(9000, 2))
    forest = export_forest(SklearnForest(n_estimators=5, random_state=0).fit(seen))
    alone = np.concatenate([forest.scores(seen[i : i + 1]) for i in (0, 4095, 4096, 8999)])
    np.testing.assert_array_equal(forest.scores(seen)[[0, 4095, 4096, 8999]], alone)


def test_the_forest_fills_the_unknown_and_names_what_is_strange() -> None:
    seen = np.random.default_rng(2).normal(size=(500, 3))
    medians = np.median(seen, axis=0)
    forest = export_forest(SklearnForest(n_estimators=50, random_state=0).fit(seen))
    model = RiskModel(names=NAMES, scorer=Isolation(forest, medians), calibrator=Uncalibrated())
    row = np.array([0.0, 9.0, np.nan])
    filled = np.array([0.0, 9.0, medians[2]])
    np.testing.assert_array_equal(model.predict(row[None, :]), model.predict(filled[None, :]))
    reasons = model.reasons(row)
    assert reasons[0].feature == "age_days"
    usual = np.array([[0.0, medians[1], medians[2]]])
    fall = model.predict(filled[None, :])[0] - model.predict(usual)[0]
    assert reasons[0].contribution == pytest.approx(fall)
    assert "noise" not in {reason.feature for reason in reasons}  # it is at its median already


@pytest.mark.parametrize("labelled", [True, False])
def test_files_and_back_is_the_same_model(labelled: bool) -> None:
    rows, labels = rows_and_labels()
    model, _ = fit_risk(rows, labels if labelled else None, NAMES, share=0.05)
    files = model.to_files()
    again = RiskModel.from_files(files)
    assert again.to_files() == files
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    assert str(again.reasons(rows[0])) == str(model.reasons(rows[0]))  # a NaN equals no NaN


def test_rows_of_another_shape_are_refused() -> None:
    rows, labels = rows_and_labels()
    model, _ = fit_risk(rows, labels, NAMES, share=0.05)
    for wrong in (rows[:, :2], rows[0]):
        with pytest.raises(ValueError, match="3 features"):
            model.predict(wrong)


def test_a_file_of_another_format_is_refused() -> None:
    rows, labels = rows_and_labels()
    files = fit_risk(rows, labels, NAMES, share=0.05)[0].to_files()
    files["risk.json"] = files["risk.json"].replace(b'"format": 1', b'"format": 2')
    with pytest.raises(ValueError, match="format 2"):
        RiskModel.from_files(files)
