"""When a stream of errors changed: detectors that look at one value after the other.

Each `update` says whether this value gave a warning or a change. After a change DDM, EDDM and
Page-Hinkley begin anew; ADWIN drops old values, and may tell of one change several times. None
controls how often it is wrong over a long stream: on 10,000 values without any change EDDM gives a
false alarm in nearly every run, DDM and Page-Hinkley in a third of runs or more (it depends on the
error rate), ADWIN in next to none.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Signal = Literal["", "warning", "change"]


@dataclass(kw_only=True)
class PageHinkley:
    """Page 1954, for a mean that moves either way.

    Σ (x - mean - `delta`), which fades by `alpha` a value, less the lowest it has been, and the
    same downwards. A change is signalled where either is above `threshold`, in the unit of the
    values, from `least` values on.
    """

    least: int = 30
    delta: float = 0.005
    threshold: float = 50.0
    alpha: float = 1 - 0.0001
    _count: int = 0
    _mean: float = 0.0
    _rise: float = 0.0
    _lowest: float = math.inf
    _fall: float = 0.0
    _highest: float = -math.inf

    def update(self, value: float) -> Signal:
        self._count += 1
        self._mean += (value - self._mean) / self._count
        gap = value - self._mean
        self._rise = self.alpha * self._rise + gap - self.delta
        self._fall = self.alpha * self._fall + gap + self.delta
        self._lowest = min(self._lowest, self._rise)
        self._highest = max(self._highest, self._fall)
        moved = max(self._rise - self._lowest, self._highest - self._fall)
        if self._count < self.least or moved <= self.threshold:
            return ""
        self._count, self._mean, self._rise, self._fall = 0, 0.0, 0.0, 0.0
        self._lowest, self._highest = math.inf, -math.inf
        return "change"


@dataclass(kw_only=True)
class ErrorRateDetector:
    """DDM (Gama et al. 2004), for errors as 0 and 1 whose rate rises.

    With p the error rate so far and s = √(p(1-p)/n), a warning where p + s is above the lowest seen
    p + `warning`·s, a change above p + `change`·s, from more than `least` values on.
    """

    least: int = 30
    warning: float = 2.0
    change: float = 3.0
    _count: int = 0
    _errors: float = 0.0
    _lowest: tuple[float, float] = (math.inf, math.inf)

    def update(self, error: float) -> Signal:
        self._count += 1
        self._errors += error
        if self._count <= self.least:
            return ""
        rate = self._errors / self._count
        spread = math.sqrt(rate * (1 - rate) / self._count)
        if rate + spread <= sum(self._lowest):
            self._lowest = rate, spread
        lowest, its_spread = self._lowest
        if rate + spread > lowest + self.change * its_spread:
            self._count, self._errors, self._lowest = 0, 0.0, (math.inf, math.inf)
            return "change"
        return "warning" if rate + spread > lowest + self.warning * its_spread else ""


@dataclass(kw_only=True)
class ErrorDistanceDetector:
    """EDDM (Baena-Garcia et al. 2006), for errors as 0 and 1 that come closer together.

    With p the mean distance between errors so far and s its standard deviation, a warning where
    p + 2s is below `warning` of the highest p + 2s seen, a change below `change` of it, from more
    than `least` errors on. Only an error can say something.
    """

    least: int = 30
    warning: float = 0.95
    change: float = 0.90
    _count: int = 0
    _errors: int = 0
    _last: int = 0
    _mean: float = 0.0
    _squares: float = 0.0  # Σ (distance - mean)²
    _highest: float = -1.0

    def update(self, error: float) -> Signal:
        self._count += 1
        if not error:
            return ""
        self._errors += 1
        distance, self._last = self._count - self._last, self._count
        gap = distance - self._mean
        self._mean += gap / self._errors
        self._squares += gap * (distance - self._mean)  # Welford 1962
        if self._count <= self.least:
            return ""
        spread = math.sqrt(self._squares / max(1, self._errors - 1))
        reach = self._mean + 2 * spread
        if reach > self._highest:
            self._highest = reach
        elif self._errors > self.least:
            return self._judged(reach / self._highest)
        return ""

    def _judged(self, level: float) -> Signal:
        if level >= self.change:
            return "warning" if level < self.warning else ""
        self._count, self._errors, self._last = 0, 0, 0
        self._mean, self._squares, self._highest = 0.0, 0.0, -1.0
        return "change"


@dataclass(frozen=True, kw_only=True)
class _Bucket:
    """Values that are told apart no more: how many, their mean, and Σ (x - mean)²."""

    size: int
    mean: float
    squares: float

    def __add__(self, other: "_Bucket") -> "_Bucket":
        size = self.size + other.size  # Chan, Golub & LeVeque 1983
        gap = other.mean - self.mean
        return _Bucket(
            size=size,
            mean=self.mean + gap * other.size / size,
            squares=self.squares + other.squares + gap**2 * self.size * other.size / size,
        )


@dataclass(kw_only=True)
class AdaptiveWindow:
    """ADWIN2 (Bifet & Gavalda 2007), for a mean that changes either way.

    Keeps the longest window that has no cut whose two means differ by more than
    ε = √(2/m·σ²·ln(2·ln n/`delta`)) + 2/(3m)·ln(2·ln n/`delta`), 1/m = 1/n0 + 1/n1 (its theorem
    3.2 with the whole window's variance), in memory logarithmic in its length: at most `per_size`
    buckets of each power of two. Cuts are looked at every `clock` values.
    """

    delta: float = 0.002
    clock: int = 32
    per_size: int = 5
    least_part: int = 5  # values on either side of a cut; ε counts only those beyond them
    least: int = 10
    _count: int = 0
    _rows: list[deque[_Bucket]] = field(default_factory=list)  # of 1, 2, 4 ...; oldest first

    def update(self, value: float) -> Signal:
        self._count += 1
        self._insert(_Bucket(size=1, mean=value, squares=0.0))
        if self._count % self.clock:
            return ""
        changed = False
        while self._has_cut():
            changed = True
            self._drop_oldest()
        return "change" if changed else ""

    def window(self) -> int:
        """How many of the last values are held to be alike."""
        return sum(bucket.size for row in self._rows for bucket in row)

    def _insert(self, bucket: _Bucket) -> None:
        for row in self._rows:
            row.append(bucket)
            if len(row) <= self.per_size:
                return
            bucket = row.popleft() + row.popleft()
        self._rows.append(deque([bucket]))

    def _has_cut(self) -> bool:
        buckets = [bucket for row in reversed(self._rows) for bucket in row]
        if not buckets:
            return False
        whole = sum(buckets[1:], buckets[0])
        if whole.size <= self.least:
            return False
        total, old = whole.mean * whole.size, 0.0
        confidence = math.log(2 * math.log(whole.size) / self.delta)
        size = 0
        for bucket in buckets[:-1]:
            size += bucket.size
            old += bucket.mean * bucket.size
            rest = whole.size - size
            if min(size, rest) < self.least_part:
                continue
            recip = 1 / (size - self.least_part + 1) + 1 / (rest - self.least_part + 1)
            allowed = math.sqrt(2 * recip * whole.squares / whole.size * confidence)
            if abs(old / size - (total - old) / rest) > allowed + 2 / 3 * recip * confidence:
                return True
        return False

    def _drop_oldest(self) -> None:
        self._rows[-1].popleft()
        if not self._rows[-1]:
            self._rows.pop()
