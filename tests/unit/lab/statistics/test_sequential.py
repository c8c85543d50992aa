"""Looking often: what it costs a z-test, what mSPRT holds, and errors that come in bursts."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from lab.statistics import (
    always_valid_half_width,
    always_valid_p,
    block_differences,
    block_means,
    log_mixture_ratio,
    rate_difference,
)

LOOKS = 100


def arm(source: np.random.Generator, rate: float, n: int, correlation: float = 0) -> np.ndarray:
    """Errors as a two-state Markov chain with this rate and autocorrelation."""
    starts, stays = rate * (1 - correlation), rate + (1 - rate) * correlation
    chance, errors = source.random(n), np.empty(n)
    before = chance[0] < rate
    for place in range(n):
        before = chance[place] < (stays if before else starts)
        errors[place] = before
    return errors


def plain_p(control: np.ndarray, canary: np.ndarray) -> float:
    """mSPRT at 100 looks, as if rows were independent."""
    rows = np.linspace(len(control) / LOOKS, len(control), LOOKS).astype(int)
    found = [
        rate_difference(int(a), int(n), int(b), int(n))
        for a, b, n in zip(control.cumsum()[rows - 1], canary.cumsum()[rows - 1], rows, strict=True)
    ]
    differences, variances = np.array(found).T
    return float(always_valid_p(differences, variances)[-1])


@pytest.mark.parametrize(
    ("looks", "expected"),
    [(1, 0.047), (5, 0.137), (10, 0.190), (20, 0.239), (50, 0.316), (100, 0.375)],
)
def test_peeking_at_a_z_test(looks: int, expected: float) -> None:
    steps = np.random.default_rng(looks).normal(size=(20_000, looks)).cumsum(axis=1)
    z = steps / np.sqrt(np.arange(1, looks + 1))
    assert (np.abs(z) > 1.96).any(axis=1).mean() == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("looks", [1, 5, 10, 20, 50, 100])
def test_msprt_holds_its_level_at_every_number_of_looks(looks: int) -> None:
    """Unit-variance differences over 20,000 rows a side, error rate 5 %."""
    source, rows = np.random.default_rng(looks), 20_000 / looks * np.arange(1, looks + 1)
    variances = 2 * 0.05 * 0.95 / rows
    spread = math.sqrt(2 * 0.05 * 0.95 * 20_000 / looks)
    alarms = 0
    for _ in range(1000):
        differences = source.normal(0, spread, looks).cumsum() / rows
        alarms += always_valid_p(differences, variances)[-1] < 0.05
    assert alarms / 1000 <= 0.03  # 0.1 to 2.3 %


def test_ratio_is_the_mixture_of_likelihood_ratios() -> None:
    """Λ = ∫ N(δ; θ, V) / N(δ; 0, V) dN(θ; 0, τ²), by numbers."""
    variance, tau, difference = 0.0004, 0.01, 0.03

    def integrand(theta: float) -> float:
        likelihood = norm.pdf(difference, theta, math.sqrt(variance))
        return float(
            likelihood / norm.pdf(difference, 0, math.sqrt(variance)) * norm.pdf(theta, 0, tau)
        )

    mixed = quad(integrand, -0.1, 0.1, points=[0, 0.03])[0]
    assert log_mixture_ratio(difference, variance, tau=tau) == pytest.approx(math.log(mixed))


def test_the_interval_ends_where_the_test_does() -> None:
    half = always_valid_half_width(0.0002, alpha=0.05)
    assert log_mixture_ratio(half, 0.0002) == pytest.approx(math.log(20))


def test_p_only_falls_and_survives_looks_without_rows() -> None:
    differences = np.array([0.5, 0.02, 0.05, 0.0])
    told = always_valid_p(differences, np.array([math.nan, 0.0001, 0.0001, 0.0001]))
    assert told[0] == 1.0
    assert np.all(np.diff(told) <= 0)
    assert told[2] == told[3] < 0.05
    assert math.isnan(rate_difference(0, 0, 1, 10)[0])


def test_no_error_is_not_certainty() -> None:
    assert rate_difference(0, 50, 0, 50)[1] > 0


def test_power_against_a_z_test_at_the_end() -> None:
    """5 against 6 % errors in 20,000 rows a side: 94 % where one look at the end has 98.8 %."""
    source, found, at_end = np.random.default_rng(0), 0, 0
    for _ in range(300):
        control, canary = (source.random(20_000) < rate for rate in (0.05, 0.06))
        found += plain_p(control, canary) < 0.05
        pooled = (control.mean() + canary.mean()) / 2
        z = (canary.mean() - control.mean()) / math.sqrt(pooled * (1 - pooled) / 10_000)
        at_end += abs(z) > 1.96
    assert found / 300 == pytest.approx(0.94, abs=0.05)
    assert at_end / 300 == pytest.approx(0.988, abs=0.02)


def test_bursts_of_errors_need_blocks() -> None:
    source = np.random.default_rng(1)
    plain = blocked = found = 0
    for _ in range(100):
        control, canary = arm(source, 0.05, 10_000, 0.8), arm(source, 0.05, 10_000, 0.8)
        plain += plain_p(control, canary) < 0.05
        blocked += always_valid_p(*block_differences(control, canary, length=100))[-1] < 0.05
        worse = arm(source, 0.12, 10_000, 0.8)
        found += always_valid_p(*block_differences(control, worse, length=100))[-1] < 0.05
    assert plain / 100 > 0.3
    assert blocked / 100 <= 0.05
    assert found / 100 > 0.9


def test_blocks_by_hand() -> None:
    assert block_means(np.arange(7.0), 3).tolist() == [1.0, 4.0]
    source = np.random.default_rng(2)
    control, canary = source.normal(size=60), source.normal(size=63)
    differences, variances = block_differences(control, canary, length=2)
    gaps = (canary[:60] - control).reshape(30, 2).mean(axis=1)
    assert len(differences) == 30
    assert np.isnan(variances[:19]).all()
    assert differences[-1] == pytest.approx(gaps.mean())
    assert variances[-1] == pytest.approx(gaps.var(ddof=1) / 30)
