"""The models of the baseline ladder over structured features, from one number to many trees.

Each is fitted on the first rows, and what it leaves open (strength of a penalty, number of trees)
is settled by the calibrated log-loss on the later rows, on which it is calibrated too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from core.calibration import Calibrator, FloatArray, Uncalibrated, sigmoid
from lab.fit_calibration import choose_calibrator, fit_platt, log_loss_of
from router.risk import BoostedTrees, ConstantScore, LinearScore, RiskModel, RiskScorer

Labels = npt.NDArray[np.float64]
PENALTIES = (0.01, 0.1, 1.0, 10.0)  # C of the logistic regression
ROUNDS = (10, 20, 40, 80, 160, 320)
LARGE_ROUNDS = (100, 200, 400, 800, 1600)
COMMON: dict[str, Any] = {
    "objective": "binary",
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # the sums of a histogram depend on how they are shared out
    "verbosity": -1,
}
TREES: dict[str, dict[str, Any]] = {
    # One tree is one Newton step: its leaves rank as their rates do, and calibration does the rest.
    "shallow_tree": {"max_depth": 3, "num_leaves": 8, "learning_rate": 1.0, "lambda_l2": 0.0},
    "boosted": {"num_leaves": 15, "learning_rate": 0.05},
    "boosted_large": {"num_leaves": 63, "learning_rate": 0.02, "feature_fraction": 0.7},
}
MEANINGS = {
    "constant": "the share of the label in training, for every row",
    "last_label": "the label that was known last, of the same entity where there is one",
    "rules": "the verdict of the rules, and the share of the label where they are silent",
    "linear": "logistic regression",
    "shallow_tree": "one tree of depth 3",
    "boosted": "gradient-boosted trees (LightGBM)",
    "boosted_large": "more and larger gradient-boosted trees",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows (n, features) with labels (n,), split by place; `categorical` are columns of codes."""

    rows: FloatArray
    labels: Labels
    names: tuple[str, ...]
    categorical: Mapping[int, int] = field(default_factory=dict)  # column to number of values


@dataclass(frozen=True, kw_only=True)
class FittedStep:
    """`chosen` is what the later rows settled."""

    name: str
    model: RiskModel
    chosen: Mapping[str, str | float | int | bool | None]

    def predict(self, rows: FloatArray) -> FloatArray:
        return self.model.predict(rows)


def fit_step(
    name: str,
    table: Table,
    fit: npt.NDArray[np.intp],
    later: npt.NDArray[np.intp],
    *,
    weights: FloatArray | None = None,
    seed: int = 0,
) -> FittedStep:
    """The step fitted on the rows `fit`, settled and calibrated on the rows `later`.

    `weights` are of all rows of the table; calibration goes without them, since a weighted
    probability is none. Both parts hold rows of either label.
    """
    if name == "constant":
        rate = float(table.labels[fit].mean())
        return _fitted(name, table, ConstantScore(rate), Uncalibrated(), {"rate": rate})
    options = _linear(table, fit, weights) if name == "linear" else None
    if options is None:
        options = _trees(name, table, fit, weights, seed)
    labels = table.labels[later]
    rows = table.rows[later]
    best = min(options, key=lambda option: _calibrated_loss(option.scores(rows), labels))
    scorer = best.scorer()
    calibrator = choose_calibrator(scorer.scores(rows), labels)
    chosen = {**best.chosen, "calibration": str(calibrator.to_json()["kind"])}
    return _fitted(name, table, scorer, calibrator, chosen)


@dataclass(frozen=True, kw_only=True)
class _Option:
    scores: Callable[[FloatArray], FloatArray]
    scorer: Callable[[], RiskScorer]
    chosen: Mapping[str, str | float | int | bool | None]


def _fitted(
    name: str,
    table: Table,
    scorer: RiskScorer,
    calibrator: Calibrator,
    chosen: Mapping[str, str | float | int | bool | None],
) -> FittedStep:
    model = RiskModel(names=table.names, scorer=scorer, calibrator=calibrator)
    return FittedStep(name=name, model=model, chosen=chosen)


def _calibrated_loss(scores: FloatArray, labels: Labels) -> float:
    """A shift of the base rate, which calibration mends, must not end the learning early."""
    return float(log_loss_of(fit_platt(scores, labels).apply(scores), labels).mean())


def _trees(
    name: str, table: Table, fit: npt.NDArray[np.intp], weights: FloatArray | None, seed: int
) -> Sequence[_Option]:
    """One booster, cut after several numbers of trees; of equals the fewest."""
    rounds = {"shallow_tree": (1,), "boosted_large": LARGE_ROUNDS}.get(name, ROUNDS)
    parameters = {**COMMON, **TREES[name], "seed": seed, "min_data_in_leaf": _least_leaf(len(fit))}
    data = lightgbm.Dataset(
        table.rows[fit],
        table.labels[fit],
        weight=None if weights is None else weights[fit],
        categorical_feature=sorted(table.categorical),
        params=parameters,
    )
    booster = lightgbm.train(parameters, data, num_boost_round=rounds[-1])

    def option(count: int) -> _Option:
        def scores(rows: FloatArray) -> FloatArray:
            raw = booster.predict(rows, raw_score=True, num_iteration=count, num_threads=1)
            return sigmoid(np.asarray(raw))

        return _Option(
            scores=scores,
            scorer=lambda: BoostedTrees(booster.model_to_string(num_iteration=count)),
            chosen={"trees": count},
        )

    return [option(count) for count in rounds]


def _least_leaf(rows: int) -> int:
    """A leaf of fewer rows says nothing about a rate, and of more forgets what is rare."""
    return int(np.clip(rows // 200, 10, 100))


def _linear(
    table: Table, fit: npt.NDArray[np.intp], weights: FloatArray | None
) -> Sequence[_Option]:
    design = _Design.of(table, fit)
    columns = design.columns(table.rows[fit])
    own = None if weights is None else weights[fit]

    def option(c: float) -> _Option:
        model = LogisticRegression(C=c, max_iter=500)
        model.fit(columns, table.labels[fit], sample_weight=own)
        scorer = design.scorer(model.coef_[0], float(model.intercept_[0]), columns)
        return _Option(scores=scorer.scores, scorer=lambda: scorer, chosen={"C": c})

    return [option(c) for c in PENALTIES]


@dataclass(frozen=True, kw_only=True)
class _Design:
    """How rows become columns of a linear model: numbers, unknowns, one column a category."""

    fill: FloatArray
    centre: FloatArray
    scale: FloatArray
    unknown: npt.NDArray[np.intp]  # features that were unknown somewhere in training
    categorical: Mapping[int, int]

    @classmethod
    def of(cls, table: Table, fit: npt.NDArray[np.intp]) -> "_Design":
        rows = table.rows[fit]
        features = rows.shape[1]
        fill, centre, scale = np.zeros(features), np.zeros(features), np.ones(features)
        for place in range(features):
            known = rows[~np.isnan(rows[:, place]), place]
            if place in table.categorical or not len(known):
                continue
            fill[place] = centre[place] = float(np.median(known))
            scale[place] = float(known.std()) or 1.0
        unknown = np.flatnonzero(np.isnan(rows).any(axis=0))
        return cls(
            fill=fill, centre=centre, scale=scale, unknown=unknown, categorical=table.categorical
        )

    @property
    def numbers(self) -> list[int]:
        return [place for place in range(len(self.fill)) if place not in self.categorical]

    def columns(self, rows: FloatArray) -> Any:
        numbers = self.numbers
        filled = np.where(np.isnan(rows), self.fill, rows)[:, numbers]
        parts = [csr_matrix((filled - self.centre[numbers]) / self.scale[numbers])]
        parts.append(csr_matrix(np.isnan(rows[:, self.unknown]).astype(np.float64)))
        for place, size in sorted(self.categorical.items()):
            known = np.flatnonzero(~np.isnan(rows[:, place]))
            codes = rows[known, place].astype(np.intp)
            shape = (len(rows), size)
            parts.append(csr_matrix((np.ones(len(known)), (known, codes)), shape=shape))
        return hstack(parts).tocsr()

    def scorer(self, weights: FloatArray, bias: float, columns: Any) -> LinearScore:
        features, numbers = len(self.fill), self.numbers
        of: dict[str, npt.NDArray[Any]] = {
            "fill": self.fill,
            "centre": self.centre,
            "scale": self.scale,
            "weight": np.zeros(features),
            "missing": np.zeros(features),
            "usual": np.zeros(features),
            "start": np.full(features, -1, dtype=np.int64),
            "bias": np.array([bias]),
        }
        means = np.asarray(columns.mean(axis=0)).ravel() * weights
        end = len(numbers)
        of["weight"][numbers] = weights[:end]
        of["usual"][numbers] = means[:end]
        of["missing"][self.unknown] = weights[end : end + len(self.unknown)]
        of["usual"][self.unknown] += means[end : end + len(self.unknown)]
        end += len(self.unknown)
        tables: list[FloatArray] = [np.zeros(0)]
        start = 0
        for place, size in sorted(self.categorical.items()):
            of["start"][place] = start
            of["usual"][place] += means[end : end + size].sum()
            tables.append(weights[end : end + size])
            start, end = start + size, end + size
        of["table"] = np.concatenate(tables)
        return LinearScore(cast(Mapping[str, npt.NDArray[Any]], of))
