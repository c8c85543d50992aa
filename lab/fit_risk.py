"""Fits the risk model: boosted trees where labels exist, an isolation forest where they do not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest as SklearnForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from core.calibration import Calibrator, FloatArray, sigmoid
from core.errors import InvalidDocument
from lab.fit_calibration import at_most_by_rank, choose_calibrator, fit_platt, log_loss_of
from lab.intervals import Bootstrap, Rows
from router.isolation import FLOAT32, IsolationForest
from router.risk import BoostedTrees, Isolation, RiskModel

FIT_SHARE, CALIBRATE_SHARE = 0.6, 0.2  # the last fifth is reported on
LEAST_ROWS = 50
LEAST_OF_EACH = 5  # of either class in each part; fewer say nothing about a probability
ROUNDS = (10, 20, 40, 80, 160, 320)
TREES = 100  # Liu et al. 2008: paths have settled by then
AUC_RESAMPLES = 300  # each sorts all rows
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 10,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
Labels = npt.NDArray[np.float64]
Scores = Callable[[FloatArray], FloatArray]


def fit_risk(
    rows: FloatArray,
    labels: npt.NDArray[Any] | None,
    names: Sequence[str],
    *,
    share: float,
    seed: int = 0,
) -> tuple[RiskModel, dict[str, Any]]:
    """The model and the report on it. Rows (n, features) and labels (n,) are in time order.

    With labels, the report is of the recipe: fitted on the first 60 %, calibrated on the next 20 %,
    judged on the last 20 %. The model that is returned is the same recipe moved up to the end:
    fitted on the first 80 %, calibrated on the last 20 %. Without labels `share` is the declared
    share of risky rows, and P(risky) the most that a row's rank can say.

    Raises InvalidDocument where the rows or labels cannot be used.
    """
    rows = _usable(rows, names)
    if labels is None:
        return _fit_forest(rows, names, share, seed)
    truth = _truth(labels, len(rows))
    first = round(len(rows) * FIT_SHARE)
    second = round(len(rows) * (FIT_SHARE + CALIBRATE_SHARE))
    for part in (slice(first), slice(first, second), slice(second, None)):
        _refuse_without_both(truth[part], f"rows {part.start or 0} to {part.stop or len(rows)}")
    judged = _fit_booster(rows[:second], truth[:second], first, seed)
    report = _report(judged, rows, truth, first, second, seed)
    deployed = _fit_booster(rows, truth, second, seed)
    model = RiskModel(names=tuple(names), scorer=deployed.scorer, calibrator=deployed.calibrator)
    report["deployed_calibration"] = deployed.calibrator.to_json()["kind"]
    return model, report


@dataclass(frozen=True, kw_only=True)
class _Booster:
    scorer: BoostedTrees
    calibrator: Calibrator
    rounds: int


def _fit_booster(rows: FloatArray, truth: Labels, cut: int, seed: int) -> _Booster:
    """Trees on the rows before `cut`; how many, and the calibration, by those after it.

    Rounds are judged by the log-loss once calibrated: a shift of the base rate, which calibration
    mends, would otherwise end the training long before the trees have learnt to rank.
    """
    data = lightgbm.Dataset(rows[:cut], truth[:cut])
    booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS[-1])
    later, labels = rows[cut:], truth[cut:]

    def calibrated_loss(rounds: int) -> float:
        raw = booster.predict(later, raw_score=True, num_iteration=rounds, num_threads=1)
        scores = sigmoid(np.asarray(raw))
        return float(log_loss_of(fit_platt(scores, labels).apply(scores), labels).mean())

    rounds = min(ROUNDS, key=calibrated_loss)  # of equals, the fewest
    scorer = BoostedTrees(booster.model_to_string(num_iteration=rounds))
    calibrator = choose_calibrator(scorer.scores(later), labels)
    return _Booster(scorer=scorer, calibrator=calibrator, rounds=rounds)


def _report(
    judged: _Booster, rows: FloatArray, truth: Labels, first: int, second: int, seed: int
) -> dict[str, Any]:
    tail = truth[second:]
    ours = judged.calibrator.apply(judged.scorer.scores(rows[second:]))
    bootstrap = Bootstrap(rows=len(tail), seed=seed)
    base = np.full(len(tail), truth[:second].mean())
    loss = log_loss_of(ours, tail)
    baselines: dict[str, Any] = {}
    for name, scores in _baselines(rows[:first], truth[:first], seed).items():
        calibrator = choose_calibrator(scores(rows[first:second]), truth[first:second])
        theirs = calibrator.apply(scores(rows[second:]))
        baselines[name] = {
            **_figures(theirs, tail),
            "uplift": _uplift(bootstrap, log_loss_of(theirs, tail) - loss),
        }
    baselines["base_rate"] = {
        "log_loss": float(log_loss_of(base, tail).mean()),
        "brier": float(((base - tail) ** 2).mean()),
        "uplift": _uplift(bootstrap, log_loss_of(base, tail) - loss),
    }
    return {
        "kind": judged.scorer.kind,
        "rows": {"fit": first, "calibrate": second - first, "test": len(tail)},
        "base_rate": {"fit": float(truth[:first].mean()), "test": float(tail.mean())},
        "rounds": judged.rounds,
        "calibration": judged.calibrator.to_json()["kind"],
        **_figures(ours, tail),
        "intervals": _intervals(bootstrap, ours, tail),
        "baselines": baselines,
    }


FIGURES: dict[str, Callable[[Labels, FloatArray], float]] = {
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": lambda truth, p: float(log_loss_of(p, truth).mean()),
    "brier": lambda truth, p: float(((p - truth) ** 2).mean()),
}


def _figures(probabilities: FloatArray, truth: Labels) -> dict[str, float]:
    return {name: float(figure(truth, probabilities)) for name, figure in FIGURES.items()}


def _intervals(
    bootstrap: Bootstrap, probabilities: FloatArray, truth: Labels
) -> dict[str, tuple[float, float]]:
    """95 %, over the test rows. A sample without both classes has no ranking to judge."""

    def of(figure: Callable[[Labels, FloatArray], float]) -> Callable[[Rows], float]:
        def on(sample: Rows) -> float:
            if truth[sample].min() == truth[sample].max():
                return float("nan")
            return figure(truth[sample], probabilities[sample])

        return on

    return {
        name: bootstrap.interval(of(figure), resamples=AUC_RESAMPLES)
        for name, figure in FIGURES.items()
    }


def _uplift(bootstrap: Bootstrap, gain: FloatArray) -> dict[str, Any]:
    """Log-loss saved a row, paired; above 0 the boosted trees are better."""
    told = bootstrap.told(lambda sample: float(gain[sample].mean()))
    return {
        "metric": "log_loss",
        "diff": told["mean"],
        "ci_low": told["ci_low"],
        "ci_high": told["ci_high"],
    }


def _baselines(rows: FloatArray, truth: Labels, seed: int) -> dict[str, Scores]:
    """What the boosted trees have to beat to be worth their weight."""
    fill = {"strategy": "median", "keep_empty_features": True, "add_indicator": True}
    fitted = {
        "logistic": make_pipeline(
            SimpleImputer(**fill), StandardScaler(), LogisticRegression(max_iter=500)
        ),
        "shallow_tree": make_pipeline(
            SimpleImputer(**fill),
            DecisionTreeClassifier(max_depth=3, min_samples_leaf=10, random_state=seed),
        ),
    }

    def scores_of(model: Any) -> Scores:
        model.fit(rows, truth)
        return lambda asked: cast(FloatArray, model.predict_proba(asked)[:, 1])

    return {name: scores_of(model) for name, model in fitted.items()}


def _fit_forest(
    rows: FloatArray, names: Sequence[str], share: float, seed: int
) -> tuple[RiskModel, dict[str, Any]]:
    medians = np.zeros(rows.shape[1])
    known = ~np.isnan(rows).all(axis=0)
    medians[known] = np.nanmedian(rows[:, known], axis=0)
    filled = np.where(np.isnan(rows), medians, rows)
    forest = SklearnForest(n_estimators=TREES, random_state=seed).fit(filled)
    scorer = Isolation(export_forest(forest), medians)
    scores = scorer.scores(rows)
    model = RiskModel(names=tuple(names), scorer=scorer, calibrator=at_most_by_rank(scores, share))
    quantiles = np.quantile(scores, [0.5, 0.9, 0.99])
    return model, {
        "kind": scorer.kind,
        "rows": {"fit": len(rows)},
        "declared_share": share,
        "anomaly": {f"p{p}": float(q) for p, q in zip((50, 90, 99), quantiles, strict=True)},
        "judged": False,  # without labels nothing says how right it is
    }


def export_forest(forest: SklearnForest) -> IsolationForest:
    """A fitted forest of scikit-learn as arrays; it must have seen all features in each tree."""
    parts: dict[str, list[npt.NDArray[Any]]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "path")
    }
    roots, start, depth = [], 0, 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        own = np.arange(tree.node_count)
        leaf = tree.children_left < 0
        depths = tree.compute_node_depths() - 1
        parts["feature"].append(np.where(leaf, 0, tree.feature).astype(np.int32))
        parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        for side, children in (("left", tree.children_left), ("right", tree.children_right)):
            parts[side].append((np.where(leaf, own, children) + start).astype(np.int32))
        parts["path"].append(np.where(leaf, depths + _usual_path(tree.n_node_samples), 0.0))
        roots.append(start)
        start += tree.node_count
        depth = max(depth, int(depths.max()))
    arrays = {name: np.concatenate(part) for name, part in parts.items()}
    usual = float(_usual_path(np.array([forest.max_samples_]))[0])
    return IsolationForest(
        **arrays, roots=np.array(roots, dtype=np.int32), depth=depth, usual_path=usual
    )


def _usual_path(sizes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean path of an unsuccessful search in a binary tree of that many rows (Liu et al. 2008)."""
    many = np.maximum(sizes, 3).astype(np.float64)
    long = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(sizes <= 1, 0.0, np.where(sizes == 2, 1.0, long))


def _usable(rows: FloatArray, names: Sequence[str]) -> FloatArray:
    rows = np.asarray(rows, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(names) or not len(names):
        raise InvalidDocument(
            "RUNG-RISK-FEATURES",
            f"the features have shape {rows.shape}, and {len(names)} are named",
            way_out="Give each row a value, or an unknown one, for each declared feature.",
        )
    if len(rows) < LEAST_ROWS:
        raise InvalidDocument(
            "RUNG-TABLE-SHORT",
            f"{len(rows)} rows are too few to fit a risk model on",
            way_out=f"Bring {LEAST_ROWS} rows or more.",
        )
    endless = (np.abs(rows) > FLOAT32).any(axis=0)  # NaN compares false: unknown is admitted
    if endless.any():
        raise InvalidDocument(
            "RUNG-RISK-FEATURES",
            f"the feature '{names[int(endless.argmax())]}' has an infinite or vast value",
            way_out="Correct it, or leave the value unknown.",
        )
    return rows


def _truth(labels: npt.NDArray[Any], n: int) -> Labels:
    try:
        truth = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _bad_labels("a label is neither 0 nor 1") from error
    if truth.shape != (n,):
        raise _bad_labels(f"{n} rows have labels of shape {truth.shape}")
    strange = ~np.isin(truth, (0.0, 1.0))  # NaN is in no set
    if strange.any():
        raise _bad_labels(f"the label of row {int(strange.argmax())} is neither 0 nor 1")
    _refuse_without_both(truth, "all rows")
    return truth


def _refuse_without_both(truth: Labels, where: str) -> None:
    positive = int(truth.sum())
    if min(positive, len(truth) - positive) < LEAST_OF_EACH:
        raise _bad_labels(f"{where}: {positive} of {len(truth)} are labelled 1")


def _bad_labels(message: str) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-RISK-LABELS",
        message,
        way_out=f"Label each row 0 or 1, with {LEAST_OF_EACH} of each in every fifth of the time, "
        "or declare no label.",
    )
