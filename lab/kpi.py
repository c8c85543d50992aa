"""Whether what a decision saves and the business figure it is for move together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from core.calibration import FloatArray
from core.spec import DecisionSpec
from lab.evaluation import Together
from lab.statistics import paired_interval

LEAST_WITH_KPI = 30
RESAMPLES = 300


def together(
    spec: DecisionSpec,
    saved: FloatArray,
    kpi: Sequence[float | None] | FloatArray,
    clusters: npt.NDArray[np.str_],
    *,
    seed: int,
) -> Together:
    """Spearman's correlation of `saved` (n,) with the KPI, turned so that up is good.

    Rows whose KPI is unknown (None or NaN) are left out.
    """
    name, better = spec.framing.kpi.name, spec.framing.kpi.better
    values = np.array([np.nan if value is None else float(value) for value in kpi])
    known = np.flatnonzero(~np.isnan(values))
    if spec.training.kpi is None:
        why = "name the column of the KPI's values in training.kpi"
        return Together(kpi=name, correlation=None, verdict="not measured", why=why)
    good, turned = saved[known], values[known] * (1 if better == "higher" else -1)
    if len(known) < LEAST_WITH_KPI or not np.ptp(good) or not np.ptp(turned):
        why = f"{len(known)} rows have a KPI, or one of the two never changes"
        return Together(kpi=name, correlation=None, verdict="unclear", why=why)
    ranks = np.stack([rankdata(good), rankdata(turned)])

    def correlation(weights: FloatArray) -> float:
        covariance = np.cov(ranks, aweights=weights)
        spread = np.sqrt(covariance[0, 0] * covariance[1, 1])
        return float(covariance[0, 1] / spread) if spread else float("nan")

    figure = paired_interval(correlation, clusters[known], resamples=RESAMPLES, seed=seed)
    if figure.ci_low > 0:
        why = "decisions that cost less go with a better KPI"
        return Together(kpi=name, correlation=figure, verdict="together", why=why)
    if figure.ci_high < 0:
        why = "decisions that cost less go with a worse KPI: mend the framing"
        return Together(kpi=name, correlation=figure, verdict="against", why=why)
    return Together(kpi=name, correlation=figure, verdict="unclear", why="the interval holds 0")
