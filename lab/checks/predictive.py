"""How well one column alone tells the label: AUC out of fold, in both directions, with interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import rankdata

from lab.checks.values import Codes, Floats, Values, text_lengths

Labels = npt.NDArray[np.bool_]
FOLDS = 5
LEAST_ROWS = 50
LEAST_OF_EACH = 10  # below it the interval of an AUC spans most of what it can be
SMOOTHING = 10.0  # rows of the base rate added to each value's own; rare values stay near it
BINS = 64  # enough to see a peak inside a range, and 800 rows a bin at 50,000
Z = 1.959963984540054  # of 95 %


@dataclass(frozen=True, kw_only=True)
class Alone:
    """`by` is how the column was read: its rank, its values' rates, where it is missing, length."""

    auc: float
    by: str
    n: int
    positives: int

    @property
    def figures(self) -> dict[str, Any]:
        low, high = auc_interval(self.auc, self.positives, self.n - self.positives)
        return {
            "auc": self.auc,
            "ci_low": low,
            "ci_high": high,
            "n": self.n,
            "positives": self.positives,
            "by": self.by,
        }


def auc_of(scores: Floats, positive: Labels) -> float:
    """P(a positive row scores above a negative one), ties half. Scores hold no NaN."""
    ones = int(positive.sum())
    ranks = rankdata(scores)
    above = float(ranks[positive].sum()) - ones * (ones + 1) / 2
    return above / (ones * (len(positive) - ones))


def auc_interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 %, of score type, so that an AUC of 1 still has a lower end below it.

    Newcombe, Statistics in Medicine 25 (2006) 559, method 5: Hanley and McNeil's variance at the
    bound itself, with the mean of both sample sizes.
    """
    mean_size = (positives + negatives) / 2 - 1

    def excess(bound: float) -> float:
        spread = (1 - bound) / (2 - bound) + bound / (1 + bound)
        variance = bound * (1 - bound) * (1 + mean_size * spread) / (positives * negatives)
        return (bound - auc) ** 2 - Z * Z * variance

    # An AUC of 0 or 1 is itself a root, where the variance vanishes; the bound is the other one.
    low = brentq(excess, 0.0, min(auc, 1 - 1e-9)) if excess(0.0) > 0 else 0.0
    high = brentq(excess, max(auc, 1e-9), 1.0) if excess(1.0) > 0 else 1.0
    return float(low), float(high)


def hashed(sequence: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 of each row's number (Steele, Lea & Flood 2014): the same on every machine."""
    with np.errstate(over="ignore"):
        mixed = sequence.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(31))
    return result


def folds_of(sequence: npt.NDArray[np.int64], seed: int) -> Codes:
    return (hashed(sequence, seed) % np.uint64(FOLDS)).astype(np.intp)


def sampled(sequence: npt.NDArray[np.int64], most: int, seed: int) -> Codes:
    """Places of at most that many rows, those with the least hashes, in their order."""
    if len(sequence) <= most:
        return np.arange(len(sequence))
    chosen: Codes = np.argsort(hashed(sequence, seed + 1), kind="stable")[:most]
    return np.sort(chosen)


def out_of_fold(codes: Codes, places: int, positive: Labels, folds: Codes) -> Floats:
    """The rate of the label among the rows of the same value in other folds, smoothed.

    Micci-Barreca 2001. A value that no other fold has gets the base rate, so an identifier of each
    row tells nothing.
    """
    truth = positive.astype(np.float64)
    base = truth.mean() * SMOOTHING
    events = np.bincount(codes, truth, places)
    counts = np.bincount(codes, minlength=places)
    scores = np.empty(len(codes))
    for fold in range(FOLDS):
        held = folds == fold
        own = np.bincount(codes[held], truth[held], places)
        others = counts - np.bincount(codes[held], minlength=places)
        scores[held] = ((events - own + base) / (others + SMOOTHING))[codes[held]]
    return scores


def binned(numbers: Floats) -> tuple[Codes, int]:
    """A place for each number by quantiles of what is known; unknown has the last."""
    known = ~np.isnan(numbers)
    distinct = np.unique(numbers[known])
    edges = distinct
    if len(distinct) > BINS:
        edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, BINS + 1)[1:-1]))
    codes = np.searchsorted(edges, numbers, side="right")
    codes[~known] = len(edges) + 1
    return codes, len(edges) + 2


def enough(positive: Labels) -> bool:
    ones = int(positive.sum())
    return len(positive) >= LEAST_ROWS and min(ones, len(positive) - ones) >= LEAST_OF_EACH


def ways_of_numbers(numbers: Floats, positive: Labels, folds: Codes) -> list[Alone]:
    """Empty for a column of one value, or of none."""
    known = ~np.isnan(numbers)
    ways = [_missing(~known, positive)] if 0 < known.sum() < len(known) else []
    if not known.any() or np.ptp(numbers[known]) == 0:
        return ways
    if known.all():
        ways.append(_both_directions(numbers, positive, "rank"))
    elif enough(positive[known]):
        ways.append(_both_directions(numbers[known], positive[known], "rank where known"))
    codes, places = binned(numbers)
    return [*ways, _by_value(codes, places, positive, folds)]


def ways_of(values: Values, positive: Labels, folds: Codes, *, by_length: bool) -> list[Alone]:
    """Every way to read a column; by its length alone where the text itself is decided on."""
    if values.numbers is not None:
        return ways_of_numbers(values.numbers, positive, folds)
    assert values.codes is not None
    unknown = values.unknown
    ways = [_missing(unknown, positive)] if 0 < unknown.sum() < len(unknown) else []
    if values.kind == "text":
        lengths = text_lengths(values.levels, values.codes)
        of_length = ways_of_numbers(lengths, positive, folds)
        ways += [_renamed(way, "length") for way in of_length if way.by != "missing"]
    if not by_length and len(values.levels) > 1:
        ways.append(_by_value(*values.as_codes(), positive, folds))
    return ways


def _missing(unknown: npt.NDArray[np.bool_], positive: Labels) -> Alone:
    return _both_directions(unknown.astype(np.float64), positive, "missing")


def _both_directions(scores: Floats, positive: Labels, by: str) -> Alone:
    auc = auc_of(scores, positive)
    ones = int(positive.sum())
    return Alone(auc=max(auc, 1 - auc), by=by, n=len(positive), positives=ones)


def _by_value(codes: Codes, places: int, positive: Labels, folds: Codes) -> Alone:
    """In one direction: the rates say themselves which values are high."""
    auc = auc_of(out_of_fold(codes, places, positive, folds), positive)
    return Alone(auc=auc, by="value", n=len(positive), positives=int(positive.sum()))


def _renamed(way: Alone, by: str) -> Alone:
    return Alone(auc=way.auc, by=by, n=way.n, positives=way.positives)


def best(ways: list[Alone], *, over_all_rows: bool = False) -> Alone | None:
    """The highest AUC; of equals, the first."""
    kept = [way for way in ways if way.by != "rank where known" or not over_all_rows]
    return max(kept, key=lambda way: way.auc, default=None)
