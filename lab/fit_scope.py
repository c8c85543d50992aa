"""Fits when a text has no intent, on out-of-fold features of texts that have one or have none."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from core.calibration import Calibrator, FloatArray, Uncalibrated
from lab.fit_calibration import at_most_by_rank, fit_platt
from router.scope import LogisticScore, ScopeModel

LEAST_OUTSIDERS = 10  # distinct texts; with fewer, what they have in common is chance
LEAST_OF_EACH = 20  # rows of either kind for a model of the embedded ones alone
SECOND_LOOKS = 0.05  # of the texts in scope may be embedded for their scope's sake alone
FALSE_ALARMS = 0.05  # of the texts in scope may be taken for outsiders
DECLARED_SHARE = 0.01  # of outsiders in traffic, where training has none to count

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ScopeRows:
    """Out-of-fold features of all texts. `outside` marks those that have no intent."""

    cheap: FloatArray
    full: FloatArray
    outside: Mask
    unsure: Mask  # the gate alone sends these to the embedding


def fit_scope(rows: ScopeRows, *, false_alarms: float = FALSE_ALARMS) -> ScopeModel:
    """`false_alarms` is the most texts in scope that may be called out of scope, as a share.

    Within it the threshold is where recall of the outsiders minus false alarms is greatest; where
    training has no outsiders to recall, the false alarms are used up.

    With outsiders in training the probability is a logistic regression on the features, fitted for
    the cheap ones on all texts and for the full ones on those that reach the embedding. Without,
    texts are ranked by entropy and distance alone and the rank bounds the probability.
    """
    inside = ~rows.outside
    if rows.outside.any():
        cheap = _logistic(rows.cheap, rows.outside)
        first = cheap.raw(rows.cheap)
        # Only texts that the gate is sure of can be saved by a second look.
        sure = np.where(rows.unsure, 0.0, first)[inside]
        look_again_at = _exceeded_by(sure, SECOND_LOOKS)
        embedded = rows.unsure | (first >= look_again_at)
        chosen = embedded if _enough(rows.outside[embedded]) else np.ones_like(embedded)
        full = _logistic(rows.full[chosen], rows.outside[chosen])
        calibrator: Calibrator = Uncalibrated()
        if _enough(rows.outside[~embedded]):
            calibrator = fit_platt(first[~embedded], rows.outside[~embedded].astype(float))
            look_again_at = float(calibrator.apply(np.array([look_again_at]))[0])
        cheap = LogisticScore(weights=cheap.weights, bias=cheap.bias, calibrator=calibrator)
    else:
        embedded = rows.unsure
        look_again_at = 2.0  # no probability reaches it: doubt alone decides
        cheap = _strangeness(rows.cheap, (0,))  # the entropy
        full = _strangeness(rows.full, (0, 2))  # the entropy and the distance
    last = np.where(embedded, full.probability(rows.full), 0.0)
    return ScopeModel(
        cheap=cheap,
        full=full,
        look_again_at=look_again_at,
        abstain_at=_best_threshold(last[inside], last[~inside], false_alarms),
    )


def _enough(outside: Mask) -> bool:
    return min(int(outside.sum()), int((~outside).sum())) >= LEAST_OF_EACH


def _exceeded_by(values: FloatArray, share: float) -> float:
    """The least threshold that at most `share` of the values reach."""
    ordered = np.sort(values)[::-1]
    return float(np.nextafter(ordered[int(share * len(ordered))], np.inf))


def _best_threshold(inside: FloatArray, outside: FloatArray, false_alarms: float) -> float:
    least = _exceeded_by(inside, false_alarms)
    options = np.unique(np.concatenate([[least], outside[outside >= least]]))
    if not len(outside):
        return least
    recall = (outside[None, :] >= options[:, None]).mean(axis=1)
    alarms = (inside[None, :] >= options[:, None]).mean(axis=1)
    return float(options[int(np.argmax(recall - alarms))])  # of equals, the one that recalls more


def _logistic(features: FloatArray, outside: Mask) -> LogisticScore:
    """Fitted on standardised features, which the weights then undo."""
    mean, spread = _scale(features)
    # C=1: a prior of unit weight, which matters while outsiders are few.
    model = LogisticRegression(C=1.0, max_iter=500).fit((features - mean) / spread, outside)
    weights = model.coef_[0] / spread
    bias = float(model.intercept_[0] - weights @ mean)
    return LogisticScore(weights=tuple(map(float, weights)), bias=bias, calibrator=Uncalibrated())


def _strangeness(features: FloatArray, used: tuple[int, ...]) -> LogisticScore:
    """The sum of the standardised `used` columns, and what its rank among these rows bounds."""
    mean, spread = _scale(features)
    chosen = np.isin(np.arange(features.shape[1]), used)
    weights = np.where(chosen, 1 / spread, 0.0)
    score = LogisticScore(
        weights=tuple(map(float, weights)),
        bias=float(-weights @ mean),
        calibrator=Uncalibrated(),
    )
    by_rank = at_most_by_rank(score.raw(features), DECLARED_SHARE)
    return LogisticScore(weights=score.weights, bias=score.bias, calibrator=by_rank)


def _scale(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    spread = features.std(axis=0)
    return features.mean(axis=0), np.where(spread > 0, spread, 1.0)
