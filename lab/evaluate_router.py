"""Figures of the deployed intent model on a test file that is scored once."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, roc_auc_score

from core.calibration import TINY
from core.embedding import FloatArray
from core.errors import InvalidDocument
from lab.evaluation import Confusion, Evaluation, SplitReport
from lab.intervals import Bootstrap, Rows, share
from lab.reliability import reliability_of
from lab.statistics import (
    calibration_error,
    ece_null,
    expected_calibration_error,
    paired_mean,
)
from lab.tables import LabelledTexts
from lab.value_ladder import evaluate_values
from router.intent import IntentModel, IntentPrediction

F1_RESAMPLES = 200  # each counts every class
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TIMED_REQUESTS = 300
LEAST_IN_SLICE = 30  # a share of fewer rows has an interval wider than a third

MISTAKES = 10  # pairs of intents that the confusion shows
MEANINGS = {
    "majority": "the commonest intent of training",
    "tfidf_linear": "logistic regression over TF-IDF",
    "embedding_linear": "logistic regression over embeddings",
    "mix": "both, the embedding only where the first is unsure",
}

Mask = npt.NDArray[np.bool_]


def evaluate_router(
    model: IntentModel,
    train: LabelledTexts,
    test: LabelledTexts,
    *,
    out_of_scope: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """All keys are of one system: it answers an intent, or `out_of_scope` where it abstains.

    Without `out_of_scope` each text has an intent, and an abstention is counted (`abstained`) but
    answers with the likeliest intent. With it, `accuracy` is over all rows, and an outsider is
    right where the model abstains.

    Raises InvalidDocument where the test file names an intent that training did not see.
    """
    labels = _labels(model, test, out_of_scope)
    prediction = model.predict(test.texts)
    answers = _Answers.of(prediction, labels, out_of_scope is not None, seed)
    simpler = _simpler(model, train, test, labels, out_of_scope)
    told = {
        "n": len(labels),
        "accuracy": answers.accuracy,
        "macro_f1": answers.macro_f1(np.arange(len(labels))),
        "coverage": answers.coverage(),
        "ece": expected_calibration_error(answers.top, answers.right),
        "ece_null": ece_null(answers.top, seed=seed),
        "brier": float(answers.brier.mean()),
        "log_loss": float(answers.loss.mean()),
        "embedding_share": float(prediction.embedded.mean()),
        "abstained": float(prediction.abstains.mean()),
        "latency_ms": _latency(model, test.texts),
        "baselines": {name: answers.uplift_over(right) for name, right in simpler.items()},
        "intervals": answers.intervals(),
    }
    if out_of_scope is not None:
        told |= _of_scope(prediction, answers, len(model.intents))
    if test.slices:
        told["slices"] = _of_slices(test, answers.right)
    evaluation = _evaluation(model, train, test, answers, simpler, seed)
    return told | {"evaluation": evaluation.model_dump(mode="json")}


def _evaluation(
    model: IntentModel,
    train: LabelledTexts,
    test: LabelledTexts,
    answers: "_Answers",
    simpler: Mapping[str, Mask],
    seed: int,
) -> Evaluation:
    """From the commonest intent to the mix, each against every simpler one, paired by request."""
    right = {**simpler, "mix": answers.right}
    return evaluate_values(
        "router",
        "intents",
        "accuracy",
        "share of requests",
        {name: own.astype(float) for name, own in right.items()},
        MEANINGS,
        SplitReport(kind="given", fit=len(train.texts), validation=0, test=len(test.texts)),
        reliability=reliability_of(
            "mix",
            answers.top,
            answers.right,
            None,
            method="temperature by part",
            brier=paired_mean(answers.brier, seed=seed),
            log_loss=paired_mean(answers.loss, seed=seed),
            seed=seed,
        ),
        confusion=_confusion(model, answers),
        seed=seed,
    )


def _confusion(model: IntentModel, answers: "_Answers") -> Confusion | None:
    """Among the intents of the commonest mistakes: the whole table is too large to look at."""
    names = [*model.intents, "out of scope"]
    wrong = Counter(
        (int(truth), int(chosen))
        for truth, chosen in zip(answers.labels, answers.chosen, strict=True)
        if truth != chosen
    )
    commonest = sorted(wrong, key=lambda pair: (-wrong[pair], pair))[:MISTAKES]
    shown = sorted({intent for pair in commonest for intent in pair})
    if not shown:
        return None
    counts = Counter(zip(answers.labels.tolist(), answers.chosen.tolist(), strict=True))
    return Confusion(
        truths=tuple(names[intent] for intent in shown),
        outcomes=tuple(names[intent] for intent in shown),
        counts=tuple(tuple(counts[truth, done] for done in shown) for truth in shown),
    )


def _labels(
    model: IntentModel, test: LabelledTexts, out_of_scope: str | None
) -> npt.NDArray[np.intp]:
    """Places in the intents; outsiders have the place above them."""
    place = {intent: i for i, intent in enumerate(model.intents)}
    if out_of_scope is not None:
        place[out_of_scope] = len(model.intents)
    unknown = sorted(set(test.labels) - set(place))
    if unknown:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"the test file has intents that the training file lacks: {', '.join(unknown[:5])}",
            way_out="Add training rows for them or remove them.",
        )
    labels = np.array([place[label] for label in test.labels], dtype=np.intp)
    outside = labels == len(model.intents)
    if out_of_scope is not None and (not outside.any() or outside.all()):
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"the test file needs rows labelled '{out_of_scope}' and rows that are not",
            way_out="Name a label of rows that belong to no intent, or leave the option out.",
        )
    return labels


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """`belief` has a column for each intent and, where outsiders are judged, one for them."""

    belief: FloatArray
    labels: npt.NDArray[np.intp]
    chosen: npt.NDArray[np.intp]
    bootstrap: Bootstrap

    @classmethod
    def of(
        cls, prediction: IntentPrediction, labels: npt.NDArray[np.intp], scope: bool, seed: int
    ) -> "_Answers":
        belief, chosen = prediction.probabilities, prediction.probabilities.argmax(axis=1)
        if scope:
            outside = prediction.out_of_scope[:, None]
            chosen = np.where(prediction.abstains, belief.shape[1], chosen)
            belief = np.hstack([belief * (1 - outside), outside])
        bootstrap = Bootstrap(rows=len(labels), seed=seed)
        return cls(belief=belief, labels=labels, chosen=chosen, bootstrap=bootstrap)

    @cached_property
    def right(self) -> Mask:
        return cast(Mask, self.chosen == self.labels)

    @cached_property
    def top(self) -> FloatArray:
        """The belief in the answer that is given."""
        return self.belief[np.arange(len(self.labels)), self.chosen]

    @cached_property
    def brier(self) -> FloatArray:
        truth = np.eye(self.belief.shape[1])[self.labels]
        return cast(FloatArray, ((self.belief - truth) ** 2).sum(axis=1))

    @cached_property
    def loss(self) -> FloatArray:
        believed = self.belief[np.arange(len(self.labels)), self.labels]
        return cast(FloatArray, -np.log(np.clip(believed, TINY, 1)))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def macro_f1(self, rows: Rows) -> float:
        return float(f1_score(self.labels[rows], self.chosen[rows], average="macro"))

    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap percentile intervals over the test rows."""
        figures: dict[str, Callable[[Rows], float]] = {
            "accuracy": lambda rows: self.right[rows].mean(),
            "brier": lambda rows: self.brier[rows].mean(),
            "log_loss": lambda rows: self.loss[rows].mean(),
        }
        told = {name: self.bootstrap.interval(figure) for name, figure in figures.items()}
        ece = calibration_error(self.top, self.right, seed=self.bootstrap.seed)
        told["ece"] = ece.ci_low, ece.ci_high
        told["macro_f1"] = self.bootstrap.interval(self.macro_f1, resamples=F1_RESAMPLES)
        return told

    def coverage(self) -> list[dict[str, float]]:
        """Accuracy over the surest share of the requests, with Wilson's interval."""
        order = np.argsort(-self.top, kind="stable")
        rows = []
        for covered in COVERAGES:
            kept = share(self.right[order[: max(1, round(covered * len(order)))]])
            rows.append({"coverage": covered, "accuracy": kept.pop("mean"), **kept})
        return rows

    def uplift_over(self, other_right: Mask) -> dict[str, float]:
        """The other's accuracy, and ours minus it, paired by request."""
        difference = self.right.astype(float) - other_right
        told = self.bootstrap.told(lambda rows: float(difference[rows].mean()))
        return {"accuracy": float(other_right.mean()), "diff": told.pop("mean"), **told}


def _simpler(
    model: IntentModel,
    train: LabelledTexts,
    test: LabelledTexts,
    labels: npt.NDArray[np.intp],
    out_of_scope: str | None,
) -> dict[str, Mask]:
    """Where what the mix has to beat is right: the commonest label, and each classifier alone.

    Where training had outsiders, they are one more class of either classifier.
    """
    commonest = min(Counter(train.labels).items(), key=lambda c: (-c[1], c[0]))[0]
    place = {intent: i for i, intent in enumerate(model.intents)}
    majority = place.get(commonest, len(model.intents))
    cheap = model.cheap.of_texts(test.texts)
    embedded = model.embedded.of_vectors(model.embedder.encode(test.texts))
    if out_of_scope is None:
        cheap, embedded = (logits[:, : len(model.intents)] for logits in (cheap, embedded))
    return {
        "majority": labels == majority,
        "tfidf_linear": cheap.argmax(axis=1) == labels,
        "embedding_linear": embedded.argmax(axis=1) == labels,
    }


def _of_scope(prediction: IntentPrediction, answers: _Answers, intents: int) -> dict[str, Any]:
    """How well outsiders are told from the rest, and what that costs the rest.

    `in_scope_accuracy`: an intent's text is right where it is answered with that intent, so that an
    abstention is wrong there. `oos_recall`: outsiders on which the model abstains.
    """
    outside = answers.labels == intents
    score = prediction.out_of_scope

    def auroc(rows: Rows) -> float:
        judged = outside[rows]
        if judged.all() or not judged.any():
            return float("nan")
        return float(roc_auc_score(judged, score[rows]))

    ranked = answers.bootstrap.told(auroc, resamples=F1_RESAMPLES)
    shares = {
        "oos_recall": share(prediction.abstains[outside]),
        "in_scope_accuracy": share(answers.right[~outside]),
        "oos_false_alarms": share(prediction.abstains[~outside]),
    }
    told: dict[str, Any] = {"oos_auroc": ranked["mean"]}
    told |= {name: figure["mean"] for name, figure in shares.items()}
    told["oos_intervals"] = {"oos_auroc": (ranked["ci_low"], ranked["ci_high"])} | {
        name: (figure["ci_low"], figure["ci_high"]) for name, figure in shares.items()
    }
    told["oos_n"] = {"out_of_scope": int(outside.sum()), "in_scope": int((~outside).sum())}
    return told


def _of_slices(test: LabelledTexts, right: Mask) -> dict[str, dict[str, dict[str, Any]]]:
    """Accuracy per value of each slice column, or that it has too few rows to say."""
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for column, values in sorted(test.slices.items()):
        told[column] = {}
        for value in sorted(set(values)):
            judged = right[[row for row, own in enumerate(values) if own == value]]
            if len(judged) < LEAST_IN_SLICE:
                told[column][value] = {"n": len(judged), "verdict": "insufficient data"}
            else:
                figure = share(judged)
                told[column][value] = {"accuracy": figure.pop("mean"), **figure}
    return told


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
