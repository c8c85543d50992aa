"""Finds a calibrator on held-out rows, and takes the simplest that later rows do not refute."""

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from sklearn.isotonic import IsotonicRegression

from core.calibration import (
    TINY,
    Calibrator,
    FloatArray,
    Isotonic,
    Platt,
    Temperature,
    Uncalibrated,
    logit,
    sigmoid,
)

LEAST_GAIN = 1e-4  # of log-loss a row; a calibrator with more numbers has to earn them
LEAST_SLOPE = 0.01  # scores that rank backwards say next to nothing, but keep their order
KNOTS = 200  # quantiles of the scores that `at_most_by_rank` keeps
Labels = npt.NDArray[np.floating]


def log_loss_of(probabilities: FloatArray, labels: Labels) -> FloatArray:
    """Row by row, in nats."""
    clipped = np.clip(probabilities, TINY, 1 - TINY)
    return cast(FloatArray, -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped)))


def fit_temperature(scores: FloatArray, labels: Labels) -> Temperature:
    found = minimize_scalar(
        lambda t: log_loss_of(Temperature(temperature=t).apply(scores), labels).mean(),
        bounds=(0.05, 20),
        method="bounded",
    )
    return Temperature(temperature=float(found.x))


def fit_platt(scores: FloatArray, labels: Labels) -> Platt:
    """With Platt's targets, which keep the slope finite where the classes do not overlap."""
    positive, logits = float(labels.sum()), logit(scores)
    targets = np.where(
        labels > 0.5, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2)
    )

    def loss(of: FloatArray) -> tuple[float, FloatArray]:
        p = sigmoid(of[0] * logits + of[1])
        gap = p - targets
        return float(log_loss_of(p, targets).mean()), np.array([(gap * logits).mean(), gap.mean()])

    start = np.array([1.0, 0.0])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)]
    )
    return Platt(slope=float(found.x[0]), intercept=float(found.x[1]))


def fit_isotonic(scores: FloatArray, labels: Labels) -> Isotonic:
    """Never 0 or 1: n rows without an event still allow one in n + 2 (Laplace)."""
    least = 1 / (len(labels) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    fitted.fit(np.asarray(scores, dtype=np.float64), labels)
    knots, places = np.unique(fitted.X_thresholds_, return_index=True)
    values = np.maximum.accumulate(fitted.y_thresholds_[places])
    return Isotonic(scores=tuple(map(float, knots)), probabilities=tuple(map(float, values)))


# From the fewest numbers to the most.
CANDIDATES: tuple[Callable[[FloatArray, Labels], Calibrator], ...] = (
    lambda scores, labels: Uncalibrated(),
    fit_temperature,
    fit_platt,
    fit_isotonic,
)


def choose_calibrator(scores: FloatArray, labels: Labels) -> Calibrator:
    """Fits each candidate on the first half and judges it on the second; rows are in time order.

    The chosen kind is fitted again on all rows. Where a half lacks one class nothing can be judged,
    and the scores stay as they are.
    """
    half = len(labels) // 2
    if min(labels[:half].sum(), labels[half:].sum()) == 0 or (
        max((labels[:half] - 1).sum(), (labels[half:] - 1).sum()) == 0
    ):
        return Uncalibrated()
    losses = [
        float(
            log_loss_of(
                fit(scores[:half], labels[:half]).apply(scores[half:]), labels[half:]
            ).mean()
        )
        for fit in CANDIDATES
    ]
    best = min(losses)
    place = next(i for i, loss in enumerate(losses) if loss <= best + LEAST_GAIN)
    return CANDIDATES[place](scores, labels)


def at_most_by_rank(scores: FloatArray, share: float) -> Isotonic:
    """For scores without labels: the most that a score's rank can say for the rare class.

    `share` is the declared share of the rare class, the higher score the rarer. A score that a part
    p of the ordinary rows reaches has P <= 1 / (1 + (1 - share) / share · (-e p ln p)) for p < 1/e,
    and the share itself above (Sellke, Bayarri and Berger 2001). It is a bound, not an estimate.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    knots = np.unique(np.quantile(ordered, np.linspace(0, 1, KNOTS), method="inverted_cdf"))
    reaching = len(ordered) - np.searchsorted(ordered, knots, side="left")
    part = (1 + reaching) / (1 + len(ordered))
    part = np.minimum(part, np.exp(-1))
    factor = -np.e * part * np.log(part)
    bound = 1 / (1 + (1 - share) / share * factor)
    return Isotonic(scores=tuple(map(float, knots)), probabilities=tuple(map(float, bound)))
