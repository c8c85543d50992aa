"""Figures of the deployed intent model on a test file that is scored once."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from core.embedding import FloatArray
from core.errors import InvalidDocument
from lab.tables import LabelledTexts
from router.intent import IntentModel

RESAMPLES = 1000
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TIMED_REQUESTS = 300
ECE_BINS = 15


def expected_calibration_error(top: FloatArray, right: npt.NDArray[np.bool_]) -> float:
    """Guo et al. 2017, 15 equal-width bins: Σ n_b/n · |accuracy_b - confidence_b|."""
    bins = np.minimum((top * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = np.bincount(bins, weights=right - top, minlength=ECE_BINS)
    return float(np.abs(gaps).sum() / len(top))


def evaluate_router(
    model: IntentModel, train: LabelledTexts, test: LabelledTexts, *, seed: int = 0
) -> dict[str, Any]:
    """Raises InvalidDocument where the test file names an intent that training did not see."""
    unknown = sorted(set(test.labels) - set(model.intents))
    if unknown:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"the test file has intents that the training file lacks: {', '.join(unknown[:5])}",
            way_out="Add training rows for them or remove them.",
        )
    labels = np.searchsorted(model.intents, test.labels)
    prediction = model.predict(test.texts)
    figures = _Figures(prediction.probabilities, labels, np.random.default_rng(seed))
    majority = model.intents.index(min(Counter(train.labels).items(), key=lambda c: (-c[1], c))[0])
    cheap = model.cheap.predict_proba(test.texts).argmax(axis=1)
    embedded = model.embedded.predict_proba(model.embedder.encode(test.texts)).argmax(axis=1)
    return {
        "n": len(labels),
        "accuracy": figures.accuracy,
        "macro_f1": figures.macro_f1,
        "coverage": figures.coverage(),
        "ece": figures.ece,
        "brier": figures.brier,
        "log_loss": figures.log_loss,
        "embedding_share": float(prediction.embedded.mean()),
        "latency_ms": _latency(model, test.texts),
        "baselines": {
            "majority": figures.uplift_over(np.full(len(labels), majority) == labels),
            "tfidf_linear": figures.uplift_over(cheap == labels),
            "embedding_linear": figures.uplift_over(embedded == labels),
        },
        "intervals": figures.intervals(),
    }


@dataclass
class _Figures:
    probabilities: FloatArray
    labels: Any
    generator: np.random.Generator

    def __post_init__(self) -> None:
        n = len(self.labels)
        self.answers = self.probabilities.argmax(axis=1)
        self.top = self.probabilities.max(axis=1)
        self.right = self.answers == self.labels
        truth = np.eye(self.probabilities.shape[1])[self.labels]
        self._brier = ((self.probabilities - truth) ** 2).sum(axis=1)
        self._loss = -np.log(np.clip(self.probabilities[np.arange(n), self.labels], 1e-12, 1))
        self.accuracy = float(self.right.mean())
        self.brier = float(self._brier.mean())
        self.log_loss = float(self._loss.mean())
        self.ece = expected_calibration_error(self.top, self.right)
        self.macro_f1 = self._macro_f1(np.arange(n))
        self._samples = self.generator.integers(0, n, (RESAMPLES, n))

    def _macro_f1(self, rows: Any) -> float:
        return float(f1_score(self.labels[rows], self.answers[rows], average="macro"))

    def intervals(self) -> dict[str, list[float]]:
        """95 % bootstrap percentile intervals over the test rows."""
        return {
            "accuracy": self._interval(lambda rows: self.right[rows].mean()),
            "macro_f1": self._interval(self._macro_f1, 200),
            "ece": self._interval(
                lambda rows: expected_calibration_error(self.top[rows], self.right[rows])
            ),
            "brier": self._interval(lambda rows: self._brier[rows].mean()),
            "log_loss": self._interval(lambda rows: self._loss[rows].mean()),
        }

    def _interval(self, figure: Callable[[Any], float], most: int = RESAMPLES) -> list[float]:
        values = [figure(rows) for rows in self._samples[:most]]
        return [float(v) for v in np.quantile(values, [0.025, 0.975])]

    def coverage(self) -> list[dict[str, float]]:
        """Accuracy over the surest share of the requests, with Wilson's interval."""
        order = np.argsort(-self.top, kind="stable")
        rows = []
        for share in COVERAGES:
            kept = self.right[order[: max(1, round(share * len(order)))]]
            ci = binomtest(int(kept.sum()), len(kept)).proportion_ci(method="wilson")
            told = {"coverage": share, "accuracy": float(kept.mean()), "n": len(kept)}
            rows.append({**told, "ci_low": float(ci.low), "ci_high": float(ci.high)})
        return rows

    def uplift_over(self, other_right: Any) -> dict[str, float]:
        """The other's accuracy, and ours minus it, paired by request."""
        difference = self.right.astype(float) - other_right
        low, high = self._interval(lambda rows: difference[rows].mean())
        told = {"accuracy": float(other_right.mean()), "diff": float(difference.mean())}
        return {**told, "ci_low": low, "ci_high": high}


def _latency(model: IntentModel, texts: list[str]) -> dict[str, float]:
    """One request at a time, over requests spread through the test file."""
    step = max(1, len(texts) // TIMED_REQUESTS)
    times = []
    for text in texts[::step]:
        start = time.perf_counter()
        model.predict([text])
        times.append((time.perf_counter() - start) * 1000)
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {"p50": float(p50), "p99": float(p99), "n": len(times)}
