"""Slice verdicts: false alarms over many slices, power, clusters, and slices too small to say."""

import numpy as np
import pytest
from scipy.stats import sem, t, ttest_1samp, ttest_ind

from lab.statistics import SliceMask, SliceVerdict, benjamini_hochberg, judge_slices
from lab.statistics.slices import LEAST_CLUSTERS

RUNS, SLICES, ROWS = 200, 40, 100


def equal_slices(
    run: int, clusters: bool = False
) -> tuple[np.ndarray, list[SliceMask], np.ndarray | None]:
    """40 slices of 100 rows whose losses are of one distribution; a row's slice is its place."""
    source = np.random.default_rng(run)
    values = source.exponential(size=SLICES * ROWS) - 1
    of = np.arange(SLICES * ROWS) % SLICES
    entities = None
    if clusters:  # 25 customers a slice whose four rows share most of their loss
        entities = of + SLICES * (np.arange(SLICES * ROWS) // SLICES // 4)
        shared = source.normal(size=entities.max() + 1)
        values = shared[entities] + 0.5 * source.normal(size=len(values))
    return values, [mask(of == place, str(place)) for place in range(SLICES)], entities


def mask(rows: np.ndarray, value: str = "", **more: object) -> SliceMask:
    return SliceMask(name="slice", value=value, mask=rows, **more)  # type: ignore[arg-type]


def only(
    values: np.ndarray, clusters: np.ndarray | None = None, *, bound: float = 0, **more: object
) -> SliceVerdict:
    """The verdict on a slice of all rows but one that is far worse."""
    rows = np.append(values, 1.0)
    taken = np.arange(len(rows)) < len(values)
    names = None if clusters is None else np.append(clusters, "another")
    return judge_slices(rows, [mask(taken, **more)], names, bound=bound)[0]


@pytest.mark.parametrize("against", ["zero", "rest"])
def test_forty_equal_slices_seldom_flag_any(against: str) -> None:
    flagged = naive = 0
    for run in range(RUNS):
        values, slices, _ = equal_slices(run)
        told = judge_slices(values, slices, None, against=against)  # type: ignore[arg-type]
        flagged += any(one.verdict == "worse" for one in told)
        naive += any(ttest_1samp(values[one.mask], 0).pvalue < 0.05 for one in slices)
    assert flagged / RUNS <= 0.08
    assert 0.7 < naive / RUNS < 0.95  # 1 - .95^40 = .87 for independent tests


def test_rows_of_one_customer_do_not_raise_false_alarms() -> None:
    by_customer = by_row = 0
    for run in range(RUNS):
        values, slices, entities = equal_slices(run, clusters=True)
        verdicts = judge_slices(values, slices, entities)
        by_customer += any(one.verdict == "worse" for one in verdicts)
        verdicts = judge_slices(values, slices, None)
        by_row += any(one.verdict == "worse" for one in verdicts)
    assert by_customer / RUNS <= 0.08
    assert by_row / RUNS > 0.5


def test_a_slice_that_is_worse_is_found_and_no_other() -> None:
    found = 0
    for run in range(50):
        values, slices, _ = equal_slices(run)
        values[slices[7].mask] += 0.5
        worse = [one.value for one in judge_slices(values, slices, None) if one.verdict == "worse"]
        found += "7" in worse
    assert found / 50 > 0.9


def test_rare_gains_do_not_make_a_slice_look_worse() -> None:
    """A step that costs 1 more but saves 20 in one of 20 rows is worth nothing either way."""
    corrected = plain = 0
    rows = 100
    for run in range(RUNS):
        drawn = 1 - 20.0 * (np.random.default_rng(run).random(SLICES * rows) < 0.05)
        of = np.arange(len(drawn)) % SLICES
        slices = [mask(of == place, str(place)) for place in range(SLICES)]
        corrected += any(one.verdict == "worse" for one in judge_slices(drawn, slices, None))
        by_slice = drawn.reshape(rows, SLICES)
        p = t.sf(by_slice.mean(axis=0) / (sem(by_slice) + 1e-9), rows - 1)
        plain += benjamini_hochberg(p)[1].any()
    assert corrected / RUNS <= 0.08
    assert plain / RUNS > 0.2


def test_p_and_interval_are_of_the_t_test_where_nothing_is_skewed() -> None:
    values = np.random.default_rng(1).normal(0, 1, 40)
    values = np.concatenate([values, -values]) + 0.1
    told = only(values, bound=0.05)
    expected = ttest_1samp(values, 0.05, alternative="greater")
    assert told.p == pytest.approx(expected.pvalue)
    interval = ttest_1samp(values, 0).confidence_interval()
    assert (told.ci_low, told.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert told.q == told.p


def test_clusters_of_equal_size_are_a_t_test_of_their_means() -> None:
    source = np.random.default_rng(2)
    values = np.repeat(source.normal(size=10), 5) + source.normal(size=50)
    values = np.concatenate([values, -values]) + 0.1
    told = only(values, np.repeat(np.arange(20), 5).astype(str))
    expected = ttest_1samp(values.reshape(20, 5).mean(axis=1), 0, alternative="greater")
    assert told.p == pytest.approx(expected.pvalue)
    assert told.clusters == 20


def test_against_the_rest_is_the_difference_of_means() -> None:
    values = np.random.default_rng(3).normal(size=400)
    rows = np.arange(400) < 200
    told = judge_slices(values, [mask(rows)], None, against="rest")[0]
    assert told.mean == pytest.approx(values[rows].mean() - values[~rows].mean())
    expected = ttest_ind(values[rows], values[~rows], alternative="greater")
    assert told.p == pytest.approx(expected.pvalue, abs=0.005)
    shifted = judge_slices(values + 7, [mask(rows)], None, against="rest")[0]
    assert shifted.p == pytest.approx(told.p or 0)


def test_too_few_rows_or_clusters_say_nothing() -> None:
    few = only(np.ones(29))
    assert (few.verdict, few.needed, few.p) == ("insufficient data", 30, None)
    assert only(np.ones(30)).verdict == "worse"
    customers = np.arange(300) % (LEAST_CLUSTERS - 1)
    assert only(np.ones(300), customers.astype(str)).verdict == "insufficient data"


def test_a_critical_slice_must_be_shown_to_be_within_its_bound() -> None:
    values = np.random.default_rng(4).normal(0, 1, 60)
    values = np.concatenate([values[:30], -values[:30]])
    assert only(values, bound=0.1).verdict == "holds"
    told = only(values, bound=0.1, critical=True)
    assert told.verdict == "insufficient data"
    # (1.645 + 0.842)² · variance / bound²: the textbook sample size of a one-sided test
    assert told.needed == pytest.approx(6.183 * values.var() * 60 / 59 / 0.01, rel=0.01)
    assert told.needed is not None
    enough = np.resize(values, told.needed)
    assert only(enough, bound=0.1, critical=True).verdict == "holds"
    assert only(values, critical=True).verdict == "holds"  # no bound is declared
    assert only(values, critical=True, bound=0).verdict == "holds"


def test_an_own_bound_of_zero_is_a_bound() -> None:
    rows = np.append(np.tile([-1.0, 1.0], 30), 0)
    critical = mask(np.arange(61) < 60, critical=True)
    declared = SliceMask(name="s", value="", mask=critical.mask, critical=True, bound=0.0)
    undeclared, zero = judge_slices(rows, [critical, declared], None)
    assert (undeclared.verdict, zero.verdict) == ("holds", "insufficient data")


def test_no_error_in_a_hundred_does_not_show_two_percent() -> None:
    """The worst row has loss 1, so 0 in 100 allows 1 - .05^(1/100) = 2.95 %."""
    told = only(np.zeros(100), bound=0.02, critical=True)
    assert told.verdict == "insufficient data"
    assert told.needed == 149  # the least n with 1 - .05^(1/n) <= .02
    assert only(np.zeros(149), bound=0.02, critical=True).verdict == "holds"
    assert only(np.zeros(148), bound=0.02, critical=True).verdict == "insufficient data"


def test_thirty_alike_rows_may_lack_the_rare_good_one() -> None:
    """All 30 cost 1 more, but a row elsewhere saved 19: one of 20 such rows would even it out."""
    rows = np.append(np.ones(30), -19.0)
    told = judge_slices(rows, [mask(np.arange(31) < 30)], None)[0]
    assert told.p == pytest.approx(0.95**30)
    assert told.verdict == "holds"
    rows = np.append(np.ones(100), -19.0)
    assert judge_slices(rows, [mask(np.arange(101) < 100)], None)[0].verdict == "worse"


def test_at_its_bound_is_not_above_it() -> None:
    """The mean of 0.1 thirty times is not 0.1 in floats."""
    assert only(np.full(30, 0.1), bound=0.1).verdict == "holds"


def test_the_order_of_rows_has_no_say() -> None:
    values, slices, entities = equal_slices(1, clusters=True)
    assert entities is not None
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = [mask(one.mask[order], one.value) for one in slices]
    assert judge_slices(values, slices, entities) == judge_slices(
        values[order], shuffled, entities[order]
    )
