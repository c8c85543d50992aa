"""What probabilities are worth on test rows: each figure of calibration with interval and n."""

import numpy as np
import numpy.typing as npt

from core.calibration import FloatArray
from lab.evaluation import Figure, Reliability
from lab.fit_calibration import log_loss_of
from lab.statistics import calibration_error, ece_null, paired_mean, reliability_bins
from lab.statistics.paired import Clusters


def reliability_of(
    step: str,
    p: FloatArray,
    right: npt.NDArray[np.bool_],
    clusters: Clusters | None,
    *,
    method: str,
    brier: Figure | None = None,
    log_loss: Figure | None = None,
    seed: int,
) -> Reliability:
    """`p` (n,) was given for what came true where `right` (n,) holds.

    `brier` and `log_loss` are given where they are known already, or of more than two classes.
    """
    null = ece_null(p, seed=seed)
    if brier is None:
        brier = paired_mean((p - right) ** 2, clusters, seed=seed)
    if log_loss is None:
        log_loss = paired_mean(log_loss_of(p, right.astype(float)), clusters, seed=seed)
    return Reliability(
        step=step,
        bins=reliability_bins(p, right),
        ece=calibration_error(p, right, clusters, seed=seed),
        ece_null_mean=null["mean"],
        ece_null_p95=null["p95"],
        ece_null_p99=null["p99"],
        brier=brier,
        log_loss=log_loss,
        method=method,
    )
