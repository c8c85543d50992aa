"""Fits how probably a ranked list answers, and shows what that is worth beside the plain cosine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression

from core.calibration import Calibrator, Uncalibrated
from core.embedding import FloatArray
from lab.fit_calibration import CANDIDATES, LEAST_GAIN, log_loss_of
from lab.fit_ranker import FittedRanker
from lab.ranked_queries import folds_of_groups
from rankers.index import HybridIndex
from rankers.quality import CITED, QUALITY_FEATURES, QualityHead, QualityScorer, quality_features
from rankers.ranker import Ranked, rank

FOLDS = 5
LEAST_OF_EACH = 10  # right lists, and wrong ones; below it a weight is an anecdote
PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C, on standardised features
RESAMPLES = 500
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class JudgedList:
    """A ranked list by a ranker that had not seen the answer. `group` is never torn apart."""

    ranked: Ranked
    first_right: bool
    cited_right: bool  # one of the first CITED
    group: str


@dataclass(frozen=True, kw_only=True)
class FittedQuality:
    scorer: QualityScorer
    report: dict[str, Any]


def lists_of(index: HybridIndex, fitted: FittedRanker) -> list[JudgedList]:
    """The held-out lists of the ranker that was chosen, in the order of the queries' ids."""
    lists = []
    for query, scores, group in zip(fitted.queries, fitted.held_out, fitted.groups, strict=True):
        ranked = rank(index, query.rows, scores, query.matrix)
        right = [index.chunks[row].document in query.relevance for row in ranked.rows[:CITED]]
        lists.append(
            JudgedList(ranked=ranked, first_right=right[0], cited_right=any(right), group=group)
        )
    return lists


def fit_quality(lists: Sequence[JudgedList], *, seed: int = 0) -> FittedQuality:
    """Every figure of the report is of held-out folds. The order of the lists has no say."""
    rows = np.array([quality_features(one.ranked) for one in lists])
    rows = rows.reshape(-1, len(QUALITY_FEATURES))
    groups = [one.group for one in lists]
    order = np.lexsort((*rows.T, np.unique(groups, return_inverse=True)[1]))
    rows, groups = rows[order], [groups[place] for place in order]
    heads, reports = {}, {}
    for name, cosine in (("first", "cosine"), ("cited", "cosine_best")):
        labels = np.array([getattr(lists[place], f"{name}_right") for place in order], dtype=bool)
        fitting = _Fitting(rows=rows, labels=labels, groups=groups, seed=seed)
        alone = rows[:, QUALITY_FEATURES.index(cosine)]
        heads[name], reports[name] = fitting.head(alone)
    return FittedQuality(scorer=QualityScorer(**heads), report=reports)


@dataclass(frozen=True, kw_only=True)
class _Fitting:
    rows: FloatArray
    labels: Labels
    groups: Sequence[str]
    seed: int

    def head(self, cosine: FloatArray) -> tuple[QualityHead, dict[str, Any]]:
        right, n = int(self.labels.sum()), len(self.labels)
        told: dict[str, Any] = {"n": n, "share_right": right / max(n, 1)}
        fold_of = folds_of_groups(self.groups, FOLDS, seed=self.seed)
        if min(right, n - right) < LEAST_OF_EACH or not self._judgeable(fold_of):
            # Laplace's rule of succession: all that so few lists can say.
            constant = QualityHead.constant((right + 1) / (n + 2))
            return constant, {**told, "model": "constant", "why": "too few right or wrong lists"}
        held_out = {c: self._held_out(fold_of, c) for c in PENALTIES}
        losses = {c: self._loss(scores) for c, scores in held_out.items()}
        penalty = min(PENALTIES, key=lambda c: (losses[c], c))
        scores = held_out[penalty]
        calibrated = [self._cross_calibrated(scores, fold_of, fit) for fit in CANDIDATES]
        calibrated_losses = [self._loss(probabilities) for probabilities in calibrated]
        kind = next(
            place
            for place, loss in enumerate(calibrated_losses)
            if loss <= min(calibrated_losses) + LEAST_GAIN
        )
        calibrator = CANDIDATES[kind](scores, self.labels.astype(float))
        probabilities = calibrated[kind]
        told |= {
            "model": "logistic",
            "penalty": penalty,
            "calibration": calibrator.to_json()["kind"],
            "log_loss": self._loss(probabilities),
            "brier": float(((probabilities - self.labels) ** 2).mean()),
            **self._auc_beside(probabilities, cosine),
        }
        return _regression(self.rows, self.labels, penalty, calibrator), told

    def _judgeable(self, fold_of: npt.NDArray[np.intp]) -> bool:
        """Every fold is there, and what is left without it has both kinds."""
        folds = set(fold_of.tolist())
        rest = [self.labels[fold_of != fold] for fold in folds]
        return len(folds) == FOLDS and all(labels.any() and not labels.all() for labels in rest)

    def _held_out(self, fold_of: npt.NDArray[np.intp], penalty: float) -> FloatArray:
        scores = np.zeros(len(self.labels))
        for fold in range(FOLDS):
            kept, judged = fold_of != fold, fold_of == fold
            head = _regression(self.rows[kept], self.labels[kept], penalty, Uncalibrated())
            scores[judged] = head.raw(self.rows[judged])
        return scores

    def _cross_calibrated(
        self,
        scores: FloatArray,
        fold_of: npt.NDArray[np.intp],
        fit: Callable[[FloatArray, FloatArray], Calibrator],
    ) -> FloatArray:
        probabilities = np.zeros(len(scores))
        for fold in range(FOLDS):
            kept, judged = fold_of != fold, fold_of == fold
            calibrator = fit(scores[kept], self.labels[kept].astype(float))
            probabilities[judged] = calibrator.apply(scores[judged])
        return probabilities

    def _loss(self, probabilities: FloatArray) -> float:
        return float(log_loss_of(probabilities, self.labels.astype(float)).mean())

    def _auc_beside(self, probabilities: FloatArray, cosine: FloatArray) -> dict[str, Any]:
        """ROC AUC of both and of the difference; whole groups are resampled."""
        _, group_of = np.unique(self.groups, return_inverse=True)
        members = [np.flatnonzero(group_of == group) for group in range(group_of.max() + 1)]
        source = np.random.default_rng(self.seed)
        pairs = []
        for _ in range(RESAMPLES):
            drawn = source.integers(0, len(members), len(members))
            rows = np.concatenate([members[group] for group in drawn])
            if self.labels[rows].any() and not self.labels[rows].all():
                pairs.append([roc_auc(self.labels[rows], s[rows]) for s in (probabilities, cosine)])
        ours, theirs = np.array(pairs).T
        exact = [roc_auc(self.labels, scores) for scores in (probabilities, cosine)]
        return {
            "roc_auc": _with_interval(exact[0], ours),
            "roc_auc_cosine": _with_interval(exact[1], theirs),
            "uplift": _with_interval(exact[0] - exact[1], ours - theirs),
        }


def roc_auc(labels: Labels, scores: FloatArray) -> float:
    """By ranks (Mann and Whitney); both kinds of labels are there."""
    right = int(labels.sum())
    ranks = rankdata(scores)[labels].sum() - right * (right + 1) / 2
    return float(ranks / (right * (len(labels) - right)))


def _with_interval(value: float, resampled: FloatArray) -> dict[str, float]:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"mean": value, "ci_low": float(low), "ci_high": float(high)}


def _regression(
    rows: FloatArray, labels: Labels, penalty: float, calibrator: Calibrator
) -> QualityHead:
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale < 1e-9, 1.0, scale)
    fitted = LogisticRegression(C=penalty, max_iter=1000).fit((rows - mean) / scale, labels)
    return QualityHead(
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        weights=tuple(map(float, fitted.coef_[0])),
        intercept=float(fitted.intercept_[0]),
        calibrator=calibrator,
    )
