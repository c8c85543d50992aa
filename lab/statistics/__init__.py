"""Statistics that the obvious code gets wrong, each held against published numbers in the tests."""

from lab.statistics.calibration_null import (
    calibration_error,
    ece_null,
    expected_calibration_error,
    reliability_bins,
)
from lab.statistics.canary import (
    CanaryVerdict,
    error_rate_upper,
    judge_metric,
    judge_rates,
    rows_for_difference,
    rows_without_error,
    sample_ratio_p,
    shift_interval,
)
from lab.statistics.change_points import (
    AdaptiveWindow,
    ErrorDistanceDetector,
    ErrorRateDetector,
    PageHinkley,
)
from lab.statistics.confidence_sequences import (
    bernoulli_interval,
    log_normal_mixture,
    normal_mixture_bound,
    normal_mixture_rho,
)
from lab.statistics.conformal import (
    conformal_quantile,
    coverage_range,
    judge_sets,
    label_sets,
    least_probability,
)
from lab.statistics.drift import (
    DriftVerdict,
    Sample,
    binned,
    judge_drift,
    psi,
    psi_p_value,
    quantile_edges,
)
from lab.statistics.multiple import benjamini_hochberg
from lab.statistics.paired import (
    RankedScores,
    Resampled,
    paired_interval,
    paired_mean,
    paired_ratio,
    resampled,
    units_of,
)
from lab.statistics.performance_estimation import PerformanceEstimator
from lab.statistics.ranking import average_precision, ndcg, reciprocal_rank
from lab.statistics.sequential import (
    always_valid_half_width,
    always_valid_p,
    block_differences,
    block_means,
    log_mixture_ratio,
    rate_difference,
)
from lab.statistics.slices import SliceMask, SliceVerdict, judge_slices

__all__ = [
    "AdaptiveWindow",
    "CanaryVerdict",
    "DriftVerdict",
    "ErrorDistanceDetector",
    "ErrorRateDetector",
    "PageHinkley",
    "PerformanceEstimator",
    "RankedScores",
    "Resampled",
    "Sample",
    "SliceMask",
    "SliceVerdict",
    "always_valid_half_width",
    "always_valid_p",
    "average_precision",
    "benjamini_hochberg",
    "bernoulli_interval",
    "binned",
    "block_differences",
    "block_means",
    "calibration_error",
    "conformal_quantile",
    "coverage_range",
    "ece_null",
    "error_rate_upper",
    "expected_calibration_error",
    "judge_drift",
    "judge_metric",
    "judge_rates",
    "judge_sets",
    "judge_slices",
    "label_sets",
    "least_probability",
    "log_mixture_ratio",
    "log_normal_mixture",
    "ndcg",
    "normal_mixture_bound",
    "normal_mixture_rho",
    "paired_interval",
    "paired_mean",
    "paired_ratio",
    "psi",
    "psi_p_value",
    "quantile_edges",
    "rate_difference",
    "reciprocal_rank",
    "reliability_bins",
    "resampled",
    "rows_for_difference",
    "rows_without_error",
    "sample_ratio_p",
    "shift_interval",
    "units_of",
]
