"""ROC and precision-recall as points to draw, thinned without losing their shape."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from core.calibration import FloatArray
from lab.evaluation import Curve, Figure

POINTS = 200  # more than a screen shows
S = TypeVar("S")


def curves_of(
    probabilities: FloatArray,
    labels: FloatArray,
    name: str,
    area: Callable[[S, str], Figure],
    step: S,
) -> tuple[Curve, Curve]:
    """`area(step, "auc" | "average_precision")` gives the area with its interval."""
    false, true, _ = roc_curve(labels, probabilities, drop_intermediate=True)
    precision, recall, _ = precision_recall_curve(labels, probabilities, drop_intermediate=True)
    return (
        Curve(name="roc", step=name, area=area(step, "auc"), points=_thinned(false, true)),
        Curve(
            name="precision_recall",
            step=name,
            area=area(step, "average_precision"),
            points=_thinned(recall[::-1], precision[::-1]),
            baseline=float(labels.mean()),
        ),
    )


def _thinned(x: FloatArray, y: FloatArray) -> tuple[tuple[float, float], ...]:
    places = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
    return tuple((float(x[place]), float(y[place])) for place in places)
