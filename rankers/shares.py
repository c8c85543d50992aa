"""A mean of values between 0 and 1, and how far it can be trusted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import fsum, sqrt

Z95 = 1.959963984540054  # of the normal distribution, two-sided


@dataclass(frozen=True, kw_only=True)
class Share:
    mean: float
    ci_low: float
    ci_high: float
    n: int

    def told(self) -> dict[str, float]:
        return asdict(self)


def share(values: Sequence[float]) -> Share:
    """With Wilson's 95 % interval; each of `values` (one or more) is in [0, 1].

    Wilson's is for events; values in between vary less than events of the same mean, so for them
    the interval is rather too wide than too narrow. It stays open where all values are 1.
    """
    n = len(values)
    return wilson(min(1.0, max(0.0, fsum(values) / n)), n)


def wilson(mean: float, n: int) -> Share:
    """Of `n` events (one or more), of which that share happened."""
    centre = (mean + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * sqrt(mean * (1 - mean) / n + Z95**2 / (4 * n**2))
    return Share(mean=mean, ci_low=max(0.0, centre - half), ci_high=min(1.0, centre + half), n=n)
