"""Intervals that hold at every sample size at once (Howard, Ramdas, McAuliffe & Sekhon 2021)."""

import math

from scipy.optimize import brentq
from scipy.special import betaln

TINY_SHARE = 1e-12


def normal_mixture_rho(variance: float, *, alpha: float = 0.05) -> float:
    """The rho that makes the two-sided normal mixture tightest where the variance sums to this.

    rho = v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))), the first terms of their proposition 3.
    """
    twice = 2 * math.log(1 / alpha)
    return variance / (twice + math.log1p(twice))


def log_normal_mixture(total: float, variance: float, *, rho: float) -> float:
    """ln of the supermartingale of a centred sum `total` whose variances sum to `variance`.

    ½ ln(rho/(v+rho)) + s²/(2(v+rho)): their equation 14, two-sided.
    """
    return 0.5 * math.log(rho / (variance + rho)) + total**2 / (2 * (variance + rho))


def normal_mixture_bound(variance: float, *, alpha: float = 0.05, rho: float) -> float:
    """How far a centred sum may be from 0, at any time, with probability 1 - alpha."""
    allowed = math.log(1 / alpha) + 0.5 * math.log((variance + rho) / rho)
    return math.sqrt(2 * (variance + rho) * allowed)


def bernoulli_interval(
    events: int, rows: int, *, alpha: float = 0.05, tightest_at: int
) -> tuple[float, float]:
    """A share with an interval that may be looked at after every row; tightest near `tightest_at`.

    All p for which the two-sided beta-binomial mixture of `events` among `rows` stays at or below
    ln(1/alpha); it is convex in p. Raises ValueError where events are not among the rows.
    """
    if not 0 <= events <= rows or rows < 1:
        raise ValueError(f"{events} events among {rows} rows")
    share, allowed = events / rows, math.log(1 / alpha)

    def beyond(p: float) -> float:
        return _log_beta_binomial_mixture(events, rows, p, alpha, tightest_at) - allowed

    low, high = 0.0, 1.0
    least, most = TINY_SHARE, 1 - TINY_SHARE
    if share > least and beyond(least) > 0:
        low = float(brentq(beyond, least, min(share, most), xtol=1e-12))
    if share < most and beyond(most) > 0:
        high = float(brentq(beyond, max(share, least), most, xtol=1e-12))
    return low, high


def _log_beta_binomial_mixture(
    events: int, rows: int, p: float, alpha: float, tightest_at: int
) -> float:
    """Their proposition 7 with g = p and h = 1 - p, the most a Bernoulli row can go down or up.

    r is rho less g·h, and at least a thousandth of it so that the mixture exists for tiny samples.
    """
    q = 1 - p
    variance = p * q
    rho = normal_mixture_rho(tightest_at * variance, alpha=alpha)
    r = max(rho - variance, 1e-3 * variance)
    prior = (r / p, r / q)
    mixed = float(betaln(prior[0] + rows - events, prior[1] + events) - betaln(*prior))
    return mixed - events * math.log(p) - (rows - events) * math.log(q)
