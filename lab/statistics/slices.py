"""Which slices are worse, over many at once, and which are too small to say.

Each slice gets a one-sided t-test with a cluster-robust (sandwich) variance and as many degrees of
freedom as clusters less one (Liang & Zeger 1986), corrected for skewed
losses (Hall 1992), and Benjamini-Hochberg over all of them: testing 40 equal slices at 5 % each
flags something in some 80 % of runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from core.embedding import FloatArray
from lab.statistics.multiple import benjamini_hochberg
from lab.statistics.paired import cluster_codes
from lab.statistics.skewed_mean import skewed_interval, skewness_of_mean, unskewed

LEAST_ROWS = 30  # a share of fewer rows has an interval wider than a third
LEAST_CLUSTERS = 10  # below, the sandwich variance is too small even with few degrees of freedom
POWER = 0.8  # with which `needed` rows would settle a critical slice
Verdict = Literal["holds", "worse", "insufficient data"]


@dataclass(frozen=True, kw_only=True)
class SliceMask:
    """Rows of one value of one slice. `mask` is (n,) booleans; `bound` None takes the default."""

    name: str
    value: str
    mask: npt.NDArray[np.bool_]
    critical: bool = False
    bound: float | None = None


@dataclass(frozen=True, kw_only=True)
class SliceVerdict:
    """`mean` with its 95 % interval is of the judged values, in their unit; `q` is after BH.

    `needed` rows would settle it with 80 % power if the slice stayed as it is; None where it is
    settled, or where no number of rows would do. Figures are None where there were too few rows.
    """

    name: str
    value: str
    n: int
    clusters: int | None
    critical: bool
    bound: float
    verdict: Verdict
    mean: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    q: float | None = None
    needed: int | None = None


def judge_slices(
    values: FloatArray,
    slices: Sequence[SliceMask],
    clusters: Sequence[str] | npt.NDArray[Any] | None,
    *,
    alpha: float = 0.05,
    bound: float = 0.0,
    least: int = LEAST_ROWS,
    against: Literal["zero", "rest"] = "zero",
) -> list[SliceVerdict]:
    """One verdict a slice, in the order given. `values` (n,): above 0 is worse.

    `against="zero"`: values are differences already, such as the extra cost of a step over the
    simpler one on the same row, and "worse" is a slice whose mean is above its bound. With "rest"
    values may be any losses, and the slice's mean less the mean of all other rows is judged.

    - "worse": the null hypothesis (at most its bound) is rejected after Benjamini-Hochberg.
    - "insufficient data": fewer than `least` rows or 10 clusters; or the slice is critical, a bound
      is declared (its own, or `bound` above 0), and the upper 1 - `alpha` limit is not within it.
    - "holds": anything else. For a critical slice with a bound that is shown, not assumed.
    """
    values = np.asarray(values, dtype=float)
    codes = cluster_codes(clusters, len(values))
    order = np.lexsort((values,) if clusters is None else (values, codes))
    values, codes = values[order], codes[order]  # so that sums round alike in every order of rows
    slices = [replace(part, mask=np.asarray(part.mask)[order]) for part in slices]
    tested: list[_Tested | None] = []
    for part in slices:
        own = codes[part.mask]
        enough = len(own) >= least and _distinct(own) >= LEAST_CLUSTERS
        if against == "rest":
            enough = enough and _distinct(codes[~part.mask]) >= LEAST_CLUSTERS
        tested.append(_test(values, part, codes, bound, against) if enough else None)
    found = [test for test in tested if test is not None]
    q_values = iter(benjamini_hochberg([test.p for test in found], alpha=alpha)[0])
    told = []
    for part, test in zip(slices, tested, strict=True):
        plain = SliceVerdict(
            name=part.name,
            value=part.value,
            n=int(part.mask.sum()),
            clusters=None if clusters is None else _distinct(codes[part.mask]),
            critical=part.critical,
            bound=bound if part.bound is None else part.bound,
            verdict="insufficient data",
            needed=least,
        )
        declared = part.bound is not None or bound > 0
        told.append(
            plain
            if test is None
            else test.told(plain, float(next(q_values)), alpha, part.critical and declared)
        )
    return told


@dataclass(frozen=True, kw_only=True)
class _Tested:
    mean: float
    error: float  # standard error
    skewness: float  # of the mean
    freedom: int
    clusters: int
    above: float  # the mean less the bound
    alike: tuple[float, float] | None  # rows that do not vary: best and worst anywhere, less theirs

    def told(self, plain: SliceVerdict, q: float, alpha: float, must_show: bool) -> SliceVerdict:
        verdict: Verdict = "worse" if q <= alpha else "holds"
        if must_show and verdict == "holds" and not self.shown_within(alpha):
            verdict = "insufficient data"
        at = float(t.ppf(0.975, self.freedom))
        low, high = skewed_interval(self.mean, self.error, self.skewness, at)
        return replace(
            plain,
            verdict=verdict,
            mean=self.mean,
            ci_low=low,
            ci_high=high,
            p=self.p,
            q=q,
            needed=self.needed(plain, alpha) if verdict == "insufficient data" else None,
        )

    @cached_property
    def statistic(self) -> float:
        if self.error:
            return unskewed(self.above / self.error, self.skewness)
        return math.copysign(math.inf, self.above) if self.above else 0.0

    @cached_property
    def p(self) -> float:
        """Of at most its bound. Rows all alike may lack the rare good one that others had.

        Were a share above/(mean - best) of them as good as the best row anywhere, the mean would be
        at its bound, and none of n would show it with probability (1 - share)^n.
        """
        if not self.error and self.above <= 0:
            return 1.0
        p = float(t.sf(self.statistic, self.freedom))
        if self.alike and -self.alike[0] > self.above > 0:
            p = max(p, float((1 + self.above / self.alike[0]) ** self.clusters))
        return p

    def shown_within(self, alpha: float) -> bool:
        """Whether the one-sided upper limit of the mean is within its bound.

        Rows all alike show no variance, but 0 errors in 100 still allow 3 %: a share of
        1 - alpha^(1/n) may be as bad as the worst row anywhere (Clopper-Pearson at 0).
        """
        sampled = self.above <= 0
        if self.error:
            sampled = float(t.cdf(self.statistic, self.freedom)) <= alpha
        unseen = -math.expm1(math.log(alpha) / self.clusters)
        return sampled and (not self.alike or self.above + unseen * self.alike[1] <= 0)

    def needed(self, plain: SliceVerdict, alpha: float) -> int | None:
        if not self.above or (self.above > 0 and not self.error):
            return None
        both = float(norm.ppf(1 - alpha) + norm.ppf(POWER))
        needed = plain.n * max(1.0, (both * self.error / self.above) ** 2)
        if self.alike and self.alike[1] > -self.above > 0:
            clusters = math.log(alpha) / math.log1p(self.above / self.alike[1])
            needed = max(needed, clusters * plain.n / self.clusters)
        return math.ceil(needed)


def _test(
    values: FloatArray,
    part: SliceMask,
    codes: npt.NDArray[np.intp],
    bound: float,
    against: Literal["zero", "rest"],
) -> _Tested:
    mean, influence = _mean_and_influence(values, part.mask, codes)
    clusters = involved = least = _distinct(codes[part.mask])
    varies = bool(np.ptp(values[part.mask]))
    alike = None if varies else (float(values.min()) - mean, float(values.max()) - mean)
    if against == "rest":
        rest, of_rest = _mean_and_influence(values, ~part.mask, codes)
        mean, influence = mean - rest, influence - of_rest
        involved = _distinct(codes)
        least = min(least, _distinct(codes[~part.mask]))
        varies = varies or bool(np.ptp(values[~part.mask]))
    by_cluster: FloatArray = np.bincount(codes, weights=influence).astype(float)
    variance = (involved - 1) / involved * float((by_cluster**2).sum())
    return _Tested(
        mean=mean,
        error=math.sqrt(variance) if varies else 0.0,
        skewness=skewness_of_mean(by_cluster) if varies else 0.0,
        freedom=least - 1,
        clusters=clusters,
        above=mean - (bound if part.bound is None else part.bound),
        alike=alike,
    )


def _distinct(codes: npt.NDArray[np.intp]) -> int:
    return int(np.count_nonzero(np.bincount(codes)))


def _mean_and_influence(
    values: FloatArray, mask: npt.NDArray[np.bool_], codes: npt.NDArray[np.intp]
) -> tuple[float, FloatArray]:
    """The mean of the masked rows, and what each row (0 outside) moves it with its cluster.

    Over the rows of all *other* clusters: the jackknife (CR3), without which a few large clusters
    make the variance too small (Bell & McCaffrey 2002).
    """
    inside = values[mask]
    # The mean of alike values may round to another number, and "at its bound" would be "above".
    mean = float(inside.mean()) if np.ptp(inside) else float(inside[0])
    others = len(inside) - np.bincount(codes[mask], minlength=int(codes.max()) + 1)
    influence = np.zeros(len(values))
    influence[mask] = (inside - mean) / others[codes[mask]]
    return mean, influence
