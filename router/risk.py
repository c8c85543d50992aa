"""How probably a request is risky by its structured features, and which of them say so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import lightgbm
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from core.calibration import Calibrator, FloatArray, from_json, sigmoid
from router.isolation import IsolationForest

FORMAT = 1
MANY_ROWS = 1_000  # some 20 ms of trees, where handing them to threads costs a tenth of one


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """What one feature adds to the score: log-odds of a booster, anomaly of a forest."""

    feature: str
    value: float  # NaN where unknown
    contribution: float


class RiskScorer(Protocol):
    """Rows are float64 (n, features), NaN where unknown; a score lies in [0, 1]."""

    @property
    def kind(self) -> str: ...

    def scores(self, rows: FloatArray) -> FloatArray: ...

    def contributions(self, row: FloatArray) -> FloatArray: ...

    def to_files(self) -> dict[str, bytes]: ...


class BoostedTrees:
    """LightGBM by its text form, which is the same for the same fit."""

    kind: str = "booster"

    def __init__(self, text: str) -> None:
        self._text = text
        self._booster = lightgbm.Booster(model_str=text)

    def scores(self, rows: FloatArray) -> FloatArray:
        # Handing one row to another thread costs more than its trees do (20 µs). A row's trees are
        # summed by one thread in one order, so that the threads have no say in the bits.
        threads = 1 if len(rows) < MANY_ROWS else 0  # 0: as many as there are processors
        raw = self._booster.predict(rows, raw_score=True, num_threads=threads)
        return sigmoid(np.asarray(raw))

    def contributions(self, row: FloatArray) -> FloatArray:
        """TreeSHAP (Lundberg 2020): with the mean of all rows they add up to the log-odds."""
        told = self._booster.predict(row[None, :], pred_contrib=True, num_threads=1)
        return np.asarray(told, dtype=np.float64)[0, :-1]

    def to_files(self) -> dict[str, bytes]:
        return {"booster.txt": self._text.encode("utf-8")}


class ConstantScore:
    """One probability for every row: what a model must beat that claims to know more."""

    kind: str = "constant"

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def scores(self, rows: FloatArray) -> FloatArray:
        return np.full(len(rows), self._rate)

    def contributions(self, row: FloatArray) -> FloatArray:
        return np.zeros(len(row))

    def to_files(self) -> dict[str, bytes]:
        return {"constant.safetensors": save_arrays({"rate": np.array([self._rate])})}


class LinearScore:
    """Logistic regression: numbers are filled and standardised, each category has a weight.

    Arrays by feature: `fill` for an unknown number, `centre` and `scale`, `weight`, `missing`
    (added where the value is unknown), `usual` (the feature's mean term in training), and `start`,
    where a category's weights begin in `table` (-1 for a number). `bias` has one element.
    """

    kind: str = "linear"

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._of = arrays

    def _terms(self, rows: FloatArray) -> FloatArray:
        """What each feature adds to the log-odds, shape of `rows`."""
        of = self._of
        unknown = np.isnan(rows)
        filled = np.where(unknown, of["fill"], rows)
        terms = (filled - of["centre"]) / of["scale"] * of["weight"]
        for place in np.flatnonzero(of["start"] >= 0):
            codes = np.where(unknown[:, place], 0, rows[:, place]).astype(np.intp)
            terms[:, place] = of["table"][of["start"][place] + codes]
        terms = np.where(unknown, of["missing"] + np.where(of["start"] >= 0, 0.0, terms), terms)
        return cast(FloatArray, terms)

    def scores(self, rows: FloatArray) -> FloatArray:
        # Summed one feature after another: BLAS would sum a batch in another order than one row.
        total = np.full(len(rows), self._of["bias"][0])
        for column in self._terms(rows).T:
            total = total + column
        return sigmoid(total)

    def contributions(self, row: FloatArray) -> FloatArray:
        """Against the mean row of training."""
        return cast(FloatArray, self._terms(row[None, :])[0] - self._of["usual"])

    def to_files(self) -> dict[str, bytes]:
        return {"linear.safetensors": save_arrays(dict(self._of))}


class Isolation:
    """An isolation forest, an unknown value filled with the training rows' median."""

    kind: str = "forest"

    def __init__(self, forest: IsolationForest, medians: FloatArray) -> None:
        self._forest = forest
        self._medians = medians

    def scores(self, rows: FloatArray) -> FloatArray:
        return self._forest.scores(np.where(np.isnan(rows), self._medians, rows))

    def contributions(self, row: FloatArray) -> FloatArray:
        """By how much the anomaly falls once the feature alone is ordinary (the median)."""
        filled = np.where(np.isnan(row), self._medians, row)
        ordinary = np.repeat(filled[None, :], len(row), axis=0)
        np.fill_diagonal(ordinary, self._medians)
        scores = self._forest.scores(np.vstack([filled[None, :], ordinary]))
        return cast(FloatArray, scores[0] - scores[1:])

    def to_files(self) -> dict[str, bytes]:
        arrays = {**self._forest.to_arrays(), "medians": self._medians}
        return {"forest.safetensors": save_arrays(cast(Any, arrays))}


@dataclass(frozen=True, kw_only=True)
class RiskModel:
    names: tuple[str, ...]  # of the features, in the order of the columns
    scorer: RiskScorer
    calibrator: Calibrator
    # From this probability on an outcome belongs to the conformal set; None: no sets are asked for.
    least: float | None = None

    def is_open(self, probability: float) -> bool:
        """Whether the conformal set of a request holds none or both of the outcomes."""
        if self.least is None:
            return False
        return (probability >= self.least) == (1 - probability >= self.least)

    def predict(self, rows: FloatArray) -> FloatArray:
        """P(risky), shape (n,), for float64 rows (n, features) with NaN where unknown."""
        return self.calibrator.apply(self.scorer.scores(self._admitted(rows)))

    def reasons(self, row: FloatArray, top: int = 3) -> tuple[Reason, ...]:
        """The features that raise the score of this row (features,) most, the strongest first."""
        values = self._admitted(row[None, :])[0]
        added = self.scorer.contributions(values)
        order = np.argsort(-added, kind="stable")[:top]
        return tuple(
            Reason(feature=self.names[i], value=float(values[i]), contribution=float(added[i]))
            for i in order
            if added[i] > 0
        )

    def to_files(self) -> dict[str, bytes]:
        told = {
            "format": FORMAT,
            "kind": self.scorer.kind,
            "names": list(self.names),
            "calibrator": self.calibrator.to_json(),
            "least": self.least,
        }
        return {
            "risk.json": json.dumps(told, sort_keys=True, allow_nan=False).encode(),
            **self.scorer.to_files(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "RiskModel":
        told = json.loads(files["risk.json"])
        if told["format"] != FORMAT:
            raise ValueError(f"a risk model of format {told['format']}, where {FORMAT} is read")
        scorer = _scorer(told["kind"], files)
        calibrator = from_json(told["calibrator"])
        return cls(
            names=tuple(told["names"]), scorer=scorer, calibrator=calibrator, least=told["least"]
        )

    def _admitted(self, rows: FloatArray) -> FloatArray:
        if rows.ndim != 2 or rows.shape[1] != len(self.names):
            raise ValueError(f"rows of {len(self.names)} features are read, not {rows.shape}")
        return np.asarray(rows, dtype=np.float64)


def _scorer(kind: str, files: Mapping[str, bytes]) -> RiskScorer:
    if kind == BoostedTrees.kind:
        return BoostedTrees(files["booster.txt"].decode("utf-8"))
    if kind == ConstantScore.kind:
        return ConstantScore(float(load_arrays(files["constant.safetensors"])["rate"][0]))
    if kind == LinearScore.kind:
        return LinearScore(load_arrays(files["linear.safetensors"]))
    arrays = load_arrays(files["forest.safetensors"])
    medians = arrays.pop("medians")
    return Isolation(IsolationForest.from_arrays(cast(Any, arrays)), medians)
