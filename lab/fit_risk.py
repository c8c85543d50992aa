"""Fits the risk model: a step of the baseline ladder, or an isolation forest without labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest as SklearnForest
from sklearn.metrics import average_precision_score, roc_auc_score

from core.calibration import FloatArray
from core.errors import InvalidDocument
from lab.fit_calibration import at_most_by_rank, log_loss_of
from lab.intervals import Bootstrap, Rows
from lab.risk_steps import FittedStep, Labels, Table, fit_step
from lab.statistics import paired_mean
from router.isolation import FLOAT32, IsolationForest
from router.risk import Isolation, RiskModel

FIT_SHARE, CALIBRATE_SHARE = 0.6, 0.2  # the last fifth is reported on
LEAST_ROWS = 50
Parts = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]
LEAST_OF_EACH = 5  # of either class in each part; fewer say nothing about a probability
STEPS = ("constant", "linear", "shallow_tree", "boosted")
TREES = 100  # Liu et al. 2008: paths have settled by then
AUC_RESAMPLES = 300  # each sorts all rows


def fit_risk(
    rows: FloatArray,
    labels: npt.NDArray[Any] | None,
    names: Sequence[str],
    *,
    share: float,
    parts: Parts | None = None,
    categorical: Mapping[int, int] | None = None,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[RiskModel, dict[str, Any]]:
    """The model and the report on it. Rows (n, features) and labels (n,) are in time order.

    With labels, every step of the baseline ladder is fitted on the first of the `parts`, calibrated
    on the second and judged on the third (60, 20 and 20 % where absent); the heaviest step that
    beats every simpler one there is moved up to the end: fitted on the first two, calibrated on the
    third. Without labels
    `share` is the declared share of risky rows, and P(risky) the most that a row's rank can say.
    `categorical` are columns of codes with their number of values, `clusters` whose each row is.

    Raises InvalidDocument where the rows or labels cannot be used.
    """
    rows = _usable(rows, names)
    if labels is None:
        return _fit_forest(rows, names, share, seed)
    truth = _truth(labels, len(rows))
    fit, later, test = parts or _in_order(len(rows))
    for name, part in (("fit", fit), ("calibrate", later), ("test", test)):
        _refuse_without_both(truth[part], f"the rows to {name}")
    table = Table(rows=rows, labels=truth, names=tuple(names), categorical=categorical or {})
    judged = _Judged(
        steps=[fit_step(name, table, fit, later, seed=seed) for name in STEPS],
        rows=rows[test],
        truth=truth[test],
        clusters=None if clusters is None else [clusters[row] for row in test],
        seed=seed,
    )
    chosen = judged.chosen()
    deployed = fit_step(chosen.name, table, np.concatenate([fit, later]), test, seed=seed)
    report = judged.report(chosen)
    report["rows"] = {"fit": len(fit), "calibrate": len(later), "test": len(test)}
    report["base_rate"] = {"fit": float(truth[fit].mean()), "test": float(truth[test].mean())}
    report["deployed_calibration"] = deployed.model.calibrator.to_json()["kind"]
    return deployed.model, report


def _in_order(rows: int) -> Parts:
    first, second = round(rows * FIT_SHARE), round(rows * (FIT_SHARE + CALIBRATE_SHARE))
    fit, later, test = np.split(np.arange(rows), [first, second])
    return fit, later, test


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """The steps from the simplest to the heaviest, on rows that none was fitted on."""

    steps: Sequence[FittedStep]
    rows: FloatArray
    truth: Labels
    clusters: Sequence[str] | None
    seed: int

    def losses(self, step: FittedStep) -> FloatArray:
        return log_loss_of(step.predict(self.rows), self.truth)

    def uplift(self, step: FittedStep, over: FittedStep) -> dict[str, Any]:
        """Log-loss saved a row, paired; above 0 `step` is better."""
        told = paired_mean(self.losses(over) - self.losses(step), self.clusters, seed=self.seed)
        return {
            "metric": "log_loss",
            "diff": told.mean,
            "ci_low": told.ci_low,
            "ci_high": told.ci_high,
        }

    def chosen(self) -> FittedStep:
        best = self.steps[0]
        for place, step in enumerate(self.steps):
            if all(self.uplift(step, over)["ci_low"] > 0 for over in self.steps[:place]):
                best = step
        return best

    def report(self, chosen: FittedStep) -> dict[str, Any]:
        ours = chosen.predict(self.rows)
        bootstrap = Bootstrap(rows=len(self.truth), seed=self.seed)
        return {
            "kind": chosen.model.scorer.kind,
            "step": chosen.name,
            "chosen": dict(chosen.chosen),
            "calibration": chosen.model.calibrator.to_json()["kind"],
            **_figures(ours, self.truth),
            "intervals": _intervals(bootstrap, ours, self.truth),
            "baselines": {
                step.name: {
                    **_figures(step.predict(self.rows), self.truth),
                    "uplift": self.uplift(chosen, step),
                }
                for step in self.steps
                if step is not chosen
            },
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
