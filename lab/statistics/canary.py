"""Whether a canary is better or worse than the control that runs beside it, or it is too early.

No traffic is no failure, and no error yet is no pass: *inconclusive* is an answer, and comes with
the rows that an answer needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import beta, chisquare, levene, norm

from core.embedding import FloatArray
from lab.statistics.pairwise_differences import difference_at, median_difference
from lab.statistics.sequential import TAU, always_valid_half_width, rate_difference

LEAST_POINTS = 20  # below, a 98 % interval of ranks is wider than any tolerance worth having
Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class CanaryVerdict:
    """Canary minus control, `estimate` in [`low`, `high`]; above 0 is worse.

    `within`: it is shown to be no worse than the tolerance, which may go on where "better" is not
    asked for. `needed` rows (or points) on either side settle a difference of the tolerance.
    """

    verdict: Verdict
    within: bool
    why: str
    control: int
    canary: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    needed: int | None = None


def judge_rates(
    *,
    control_errors: int,
    control_rows: int,
    canary_errors: int,
    canary_rows: int,
    tolerance: float,
    alpha: float = 0.05,
    tau: float = TAU,
) -> CanaryVerdict:
    """Error rates of independent rows, at any look (mSPRT's interval; see `sequential`).

    "worse" is above `tolerance` (a difference of rates, at least 0), "better" is below 0.
    """
    counted = {"control": control_rows, "canary": canary_rows}
    base = (control_errors + 1) / (control_rows + 2)
    needed = rows_for_difference(base, base + (tolerance or tau), alpha=alpha)
    if not (control_rows and canary_rows):
        return CanaryVerdict(
            verdict="inconclusive", within=False, why="no traffic yet", needed=needed, **counted
        )
    difference, variance = rate_difference(control_errors, control_rows, canary_errors, canary_rows)
    half = always_valid_half_width(variance, alpha=alpha, tau=tau)
    return _verdict(difference, difference - half, difference + half, tolerance, needed, counted)


def judge_metric(
    control: FloatArray, canary: FloatArray, *, tolerance: float, confidence: float = 0.98
) -> CanaryVerdict:
    """A metric of which more is worse, such as latency, by ranks (Mann-Whitney, as in Kayenta).

    `tolerance` is a share of the control's median. Points have to be nearly independent, so sum
    into blocks of time first: with autocorrelation 0.8 a thing is found to differ from itself in
    29.5 % of cases. For one look; ranks do not see a change of spread, so a canary whose spread is
    larger (Brown & Forsythe 1974) is not `within`.
    """
    control, canary = np.asarray(control, dtype=float), np.asarray(canary, dtype=float)
    counted = {"control": len(control), "canary": len(canary)}
    if min(len(control), len(canary)) < LEAST_POINTS:
        return CanaryVerdict(
            verdict="inconclusive",
            within=False,
            why="no traffic yet" if not (len(control) and len(canary)) else "too few points",
            needed=LEAST_POINTS,
            **counted,
        )
    estimate, low, high = shift_interval(canary, control, confidence=confidence)
    allowed = tolerance * abs(float(np.median(control)))
    needed = None
    if allowed:  # the half width goes with the root of the points
        wider = max(1.0, (high - low) / 2 / allowed) ** 2
        needed = math.ceil(min(counted.values()) * wider)
    told = _verdict(estimate, low, high, allowed, needed, counted)
    spread = levene(control, canary, center="median")
    if spread.pvalue < 1 - confidence and _spread(canary) > _spread(control):
        return CanaryVerdict(**{**told.__dict__, "within": False, "why": "its spread is larger"})
    return told


def shift_interval(
    ours: FloatArray, theirs: FloatArray, *, confidence: float = 0.98
) -> tuple[float, float, float]:
    """Hodges-Lehmann's shift of `ours` over `theirs` with the interval of Mann-Whitney's test.

    The median of all pairwise differences, and those at the ranks of the test's critical value:
    exact for up to 50 values a side, from the normal approximation for more (R's wilcox.test).
    """
    n, m = len(ours), len(theirs)
    tail = (1 - confidence) / 2
    if max(n, m) < 50:
        rank = int(np.searchsorted(np.cumsum(rank_sum_null(n, m)), tail))
    else:
        spread = math.sqrt(n * m * (n + m + 1) / 12)
        rank = math.floor(n * m / 2 + float(norm.ppf(tail)) * spread)
    rank = max(1, rank)
    return (
        median_difference(ours, theirs),
        difference_at(ours, theirs, rank),
        difference_at(ours, theirs, n * m - rank + 1),
    )


def rank_sum_null(n: int, m: int) -> FloatArray:
    """P(U = u) for u from 0 to n·m, without a shift or ties (Mann & Whitney 1947).

    Gauss's binomial: multiplies Π (1 - x^(m+i)) / (1 - x^i) out, i from 1 to n, in whole numbers.
    """
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            counts[u] -= counts[u - m - i]
        for u in range(i, n * m + 1):
            counts[u] += counts[u - i]
    total = sum(counts)
    return np.array([count / total for count in counts])


def sample_ratio_p(rows: Sequence[int], shares: Sequence[float]) -> float:
    """χ² of the split itself: below .001 the traffic is not divided as it should be.

    Then no comparison of the parts is to be believed (Fabijan et al. 2019). 1 without rows.
    """
    total = sum(rows)
    if not total:
        return 1.0
    expected = np.asarray(shares, dtype=float) / sum(shares) * total
    return float(chisquare(rows, expected).pvalue)


def error_rate_upper(errors: int, rows: int, *, alpha: float = 0.05) -> float:
    """The highest error rate that `errors` in `rows` still allow (Clopper & Pearson 1934).

    0 in 100 still allow 3.0 %, 0 in 300 1.0 % ("rule of three").
    """
    return 1.0 if errors >= rows else float(beta.ppf(1 - alpha, errors + 1, rows - errors))


def rows_without_error(rate: float, *, alpha: float = 0.05) -> int:
    """How many rows without any error show that errors are rarer than `rate`."""
    return math.ceil(math.log(alpha) / math.log1p(-rate))


def rows_for_difference(
    base: float, other: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Rows on either side to tell two rates apart, two-sided, with one look (Fleiss 1981).

    None where they are the same. Looking often costs some 30 % more.
    """
    other = min(other, 1.0)
    if base == other:
        return None
    mean = (base + other) / 2
    null = float(norm.ppf(1 - alpha / 2)) * math.sqrt(2 * mean * (1 - mean))
    found = float(norm.ppf(power)) * math.sqrt(base * (1 - base) + other * (1 - other))
    return math.ceil(((null + found) / (base - other)) ** 2)


def _verdict(
    estimate: float,
    low: float,
    high: float,
    tolerance: float,
    needed: int | None,
    counted: dict[str, int],
) -> CanaryVerdict:
    verdict: Verdict = "inconclusive"
    why = "the interval holds both no difference and more than the tolerance"
    if low > tolerance:
        verdict, why = "worse", "the whole interval is above the tolerance"
    elif high < 0:
        verdict, why = "better", "the whole interval is below no difference"
    elif high <= tolerance:
        why = "no worse than the tolerance, and not better either"
    elif low > 0:
        why = "worse, but perhaps within the tolerance"
    return CanaryVerdict(
        verdict=verdict,
        within=high <= tolerance,
        why=why,
        control=counted["control"],
        canary=counted["canary"],
        estimate=estimate,
        low=low,
        high=high,
        needed=needed if verdict == "inconclusive" and high > tolerance else None,
    )


def _spread(values: FloatArray) -> float:
    return float(np.abs(values - np.median(values)).mean())
