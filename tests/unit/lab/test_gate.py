"""The gate lets in the heaviest step that earned its place, and says why it was no other."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.spec.gate import STEPS, Gate
from lab.evaluation import (
    Figure,
    GateReport,
    Reliability,
    ReliabilityBin,
    SliceRow,
    StepReport,
    Uplift,
)
from lab.gate import decide

FAST = dict.fromkeys(STEPS, 1.0)


def figure(low: float, high: float, mean: float | None = None, n: int = 1000) -> Figure:
    middle = (low + high) / 2 if mean is None else mean
    return Figure(mean=middle, ci_low=low, ci_high=high, n=n)


def ladder(*names: str, yardsticks: Sequence[str] = ("last_label",)) -> list[StepReport]:
    cost = {"cost": figure(1.0, 2.0)}
    return [
        StepReport(name=name, meaning=name, deployable=name not in yardsticks, figures=cost)
        for name in names
    ]


def over(
    step: str, simpler: str, low: float, high: float, needed: float = 0, metric: str = "cost"
) -> Uplift:
    diff = figure(low, high)
    return Uplift(step=step, over=simpler, metric=metric, diff=diff, needed=needed)


def every(names: Sequence[str], low: float = 0.1, high: float = 0.3) -> list[Uplift]:
    """Each step better than every simpler one."""
    return [over(b, a, low, high) for a, b in itertools.combinations(names, 2)]


def row(
    verdict: Any, *, critical: bool = False, value: str = "north", bound: float | None = 0.5
) -> SliceRow:
    told = {"slice": "region", "value": value, "n": 40, "critical": critical, "bound": bound}
    return SliceRow.model_validate({**told, "verdict": verdict})


def reliability(ece: float, null_p95: float) -> Reliability:
    part = ReliabilityBin(confidence=0.5, observed=0.5, n=1000, null_low=0.4, null_high=0.6)
    return Reliability(
        step="boosted",
        bins=(part,),
        ece=figure(ece, ece),
        ece_null_mean=null_p95 / 2,
        ece_null_p95=null_p95,
        ece_null_p99=null_p95 * 1.2,
        brier=figure(0.1, 0.1),
        log_loss=figure(0.3, 0.3),
        method="platt",
    )


def judged(steps: Sequence[StepReport], uplifts: Sequence[Uplift], **further: Any) -> GateReport:
    told: dict[str, Any] = {
        "gate": Gate(),
        "slices": {},
        "reliability": {},
        "latency_ms": FAST,
        "latency_limit_ms": 50.0,
        "parity": {"compared": 100, "differences": 0},
    }
    return decide(steps=steps, uplifts=uplifts, **{**told, **further})


def said(report: GateReport, code: str) -> list[tuple[bool | None, str]]:
    return [(one.holds, one.what) for one in report.reasons if one.code == code]


THREE = ("constant", "linear", "boosted")
FIVE = ("constant", "linear", "shallow_tree", "boosted", "boosted_large")


def test_a_published_fraud_benchmark_keeps_the_linear_model() -> None:
    """Default LightGBM over logistic regression there: +.0002, [-.038, .037]."""
    uplifts = [
        over("linear", "constant", 0.3, 0.5),
        over("boosted", "constant", 0.3, 0.5),
        Uplift(
            step="boosted",
            over="linear",
            metric="average_precision",
            diff=figure(-0.038, 0.037, mean=0.0002),
        ),
    ]
    report = judged(ladder(*THREE), uplifts)
    assert (report.registered, report.heaviest, report.problem) == ("linear", "boosted", "")
    assert (
        False,
        "boosted over linear, average_precision: +0.0002 [-0.038, 0.037], n = 1000; "
        "its lower end must be above 0",
    ) in said(report, "GATE-UPLIFT")


def test_what_beats_every_simpler_step_is_registered() -> None:
    report = judged(ladder(*THREE), every(THREE))
    assert report.registered == "boosted"
    assert all(reason.holds for reason in report.reasons) and report.problem == ""


def test_one_simpler_step_that_is_not_beaten_is_enough() -> None:
    """Better than the linear model, which itself is worse than the base rate."""
    uplifts = [
        over("linear", "constant", -0.3, -0.1),
        over("boosted", "constant", -0.1, 0.2),
        over("boosted", "linear", 0.1, 0.3),
    ]
    report = judged(ladder(*THREE), uplifts)
    assert report.registered == "constant"
    assert report.problem.startswith("nothing beats the base rate")


@pytest.mark.parametrize(("needed", "registered"), [(0.1, "boosted"), (0.1001, "linear")])
def test_the_lower_end_must_be_worth_its_while(needed: float, registered: str) -> None:
    uplifts = [*every(THREE)[:2], over("boosted", "linear", 0.1, 0.3, needed)]
    assert judged(ladder(*THREE), uplifts).registered == registered


def test_the_prices_of_the_decision_are_asked_for_though_a_comparison_forgot_them() -> None:
    # 3000 a month over 10,000 decisions is 0.3 a decision.
    gate = Gate.model_validate({"steps": {"boosted": {"training": 2000, "upkeep": 1000}}})
    assert judged(ladder(*THREE), every(THREE, 0.31, 0.5), gate=gate).registered == "boosted"
    assert judged(ladder(*THREE), every(THREE, 0.29, 0.5), gate=gate).registered == "linear"
    in_ranks = [uplift.model_copy(update={"metric": "ndcg"}) for uplift in every(THREE, 0.29, 0.5)]
    assert judged(ladder(*THREE), in_ranks, gate=gate).registered == "boosted"


def test_no_difference_at_all_is_no_uplift() -> None:
    assert judged(ladder(*THREE), every(THREE, 0.0, 0.0)).registered == "constant"


def test_a_pair_that_was_not_compared_is_not_beaten() -> None:
    report = judged(ladder(*THREE), every(THREE)[:2])
    assert report.registered == "linear"
    assert (None, "boosted was not compared with linear") in said(report, "GATE-UPLIFT")


def test_failing_to_beat_the_rules_is_a_problem_of_data_or_framing() -> None:
    names = ("constant", "rules", "linear", "boosted")
    uplifts = [
        over("rules", "constant", 0.2, 0.4),
        *(over(name, "constant", 0.2, 0.4) for name in ("linear", "boosted")),
        *(over(name, "rules", -0.1, 0.1) for name in ("linear", "boosted")),
        over("boosted", "linear", -0.1, 0.1),
    ]
    report = judged(ladder(*names), uplifts)
    assert report.registered == "rules"
    assert report.problem.startswith("nothing beats the rules: a problem of the data or the")
    assert judged(ladder("constant", "rules"), uplifts[:1]).problem == ""  # nothing was tried


def test_a_step_without_figures_is_no_step() -> None:
    absent = StepReport(name="rules", meaning="", absent="no rule says anything")
    report = judged([absent, *ladder(*THREE)], every(THREE))
    assert report.registered == "boosted"
    with pytest.raises(ValueError, match="no deployable step"):
        judged([absent], [])


def test_the_last_label_may_win_and_is_not_registered() -> None:
    """The electricity stream: the last label is right in .853, LightGBM in .716."""
    names = ("constant", "last_label", "boosted")
    uplifts = [
        over("last_label", "constant", 0.2, 0.3, metric="accuracy"),
        over("boosted", "constant", 0.1, 0.2, metric="accuracy"),
        over("boosted", "last_label", -0.145, -0.129, metric="accuracy"),
    ]
    report = judged(ladder(*names), uplifts)
    assert (report.registered, report.heaviest) == ("boosted", "boosted")
    assert "last_label, which cannot be deployed, does better" in report.problem
    assert "as a feature" in report.problem
    [(holds, what)] = said(report, "GATE-YARDSTICK")
    assert holds is False and "[-0.145, -0.129]" in what
    alike = [*uplifts[:2], over("boosted", "last_label", -0.1, 0.01)]
    assert judged(ladder(*names), alike).problem == ""
    nothing = [uplifts[0], over("boosted", "constant", -0.1, 0.2), uplifts[2]]
    report = judged(ladder(*names), nothing)  # the constant is simpler than the yardstick
    assert report.registered == "constant"
    assert "nothing beats the base rate" in report.problem and "last_label" in report.problem


def by_pair(of: dict[str, list[SliceRow]]) -> dict[tuple[str, str], list[SliceRow]]:
    """The same rows whichever simpler step is the other."""
    return {(step, other): rows for step, rows in of.items() for other in (*THREE, *FIVE)}


def test_a_worse_slice_sends_to_the_next_simpler_step() -> None:
    slices = {"linear": [row("holds")], "boosted": [row("holds", value="south"), row("worse")]}
    report = judged(ladder(*THREE), every(THREE), slices=by_pair(slices))
    assert report.registered == "linear"
    assert said(report, "GATE-SLICE") == [
        (False, "boosted is worse than linear in region = north, n = 40, bound 0.5"),
        (True, "linear over constant: none of 1 slices is worse"),
    ]


def test_slices_are_held_against_what_would_be_registered_instead() -> None:
    """The shallow tree did not earn its place, so that boosted would replace the linear model."""
    names = ("constant", "linear", "shallow_tree", "boosted")
    uplifts = [one for one in every(names) if (one.step, one.over) != ("shallow_tree", "linear")]
    uplifts.append(over("shallow_tree", "linear", -0.1, 0.1))
    slices = {
        ("boosted", "shallow_tree"): [row("holds")],
        ("boosted", "linear"): [row("worse")],
        ("linear", "constant"): [row("holds")],
    }
    assert judged(ladder(*names), uplifts, slices=slices).registered == "linear"


def test_a_worse_slice_without_a_bound_is_told() -> None:
    slices = by_pair({name: [row("worse", bound=None), row("holds")] for name in THREE[1:]})
    report = judged(ladder(*THREE), every(THREE), slices=slices)
    assert report.registered == "boosted"
    assert said(report, "GATE-SLICE") == [
        (True, "boosted is worse than linear in region = north, n = 40, without a bound")
    ]


def test_too_few_rows_are_no_pass_where_a_slice_is_critical() -> None:
    few = {name: [row("insufficient data")] for name in THREE[1:]}
    assert judged(ladder(*THREE), every(THREE), slices=by_pair(few)).registered == "boosted"
    few["boosted"] = [row("insufficient data", critical=True)]
    report = judged(ladder(*THREE), every(THREE), slices=by_pair(few))
    assert report.registered == "linear"
    assert said(report, "GATE-SLICE")[0][0] is None


def test_slices_that_nobody_looked_at_are_no_pass() -> None:
    report = judged(ladder(*THREE), every(THREE), slices=by_pair({"linear": [row("holds")]}))
    assert report.registered == "linear"


def test_an_interval_over_a_handful_of_entities_is_no_pass() -> None:
    """With no effect at all, one entity alone would have passed in half of all runs."""
    uplifts = [
        one.model_copy(update={"diff": one.diff.model_copy(update={"clusters": 9})})
        for one in every(THREE)
    ]
    report = judged(ladder(*THREE), uplifts)
    assert report.registered == "constant"
    assert said(report, "GATE-UPLIFT")[0] == (
        None,
        "linear over constant: 9 entities are too few to say",
    )


def test_an_ece_above_its_null_is_refused_and_below_it_is_not() -> None:
    # .1225 is the mean ECE of a perfectly calibrated model at n = 100, so that .12 says nothing.
    within = {"boosted": reliability(0.12, 0.16), "linear": reliability(0.02, 0.03)}
    assert judged(ladder(*THREE), every(THREE), reliability=within).registered == "boosted"
    above = {**within, "boosted": reliability(0.12, 0.05)}
    report = judged(ladder(*THREE), every(THREE), reliability=above)
    assert report.registered == "linear"
    [(holds, what), _] = said(report, "GATE-CALIBRATION")
    assert holds is False and "ECE 0.12 [0.12, 0.12], n = 1000" in what and "0.05" in what


def test_a_step_is_not_refused_where_what_replaces_it_is_worse_calibrated() -> None:
    drifted = dict(zip(THREE, (reliability(e, 0.05) for e in (0.3, 0.25, 0.2)), strict=True))
    report = judged(ladder(*THREE), every(THREE), reliability=drifted)
    assert report.registered == "boosted"
    [(holds, what)] = said(report, "GATE-CALIBRATION")
    assert holds is True and "linear, which would take its place, has 0.25" in what
    drifted["linear"] = reliability(0.19, 0.05)
    assert judged(ladder(*THREE), every(THREE), reliability=drifted).registered == "linear"


def test_where_nothing_with_probabilities_takes_its_place_one_in_a_hundred_is_asked_for() -> None:
    """A ladder that reads a text is refused whole, and 5 % of calibrated ones are past the p95."""
    names = ("rules", "ladder")
    for ece, registered in ((0.055, "ladder"), (0.065, "rules")):
        own = {"ladder": reliability(ece, 0.05)}
        latency = {"rules": 1.0, "ladder": 1.0}
        report = judged(ladder(*names), every(names), reliability=own, latency_ms=latency)
        assert report.registered == registered
        assert "below 0.06 in 99 % of samples" in said(report, "GATE-CALIBRATION")[0][1]


def test_latency_is_held_to_the_budget() -> None:
    for latency, registered in (
        ({**FAST, "boosted": 50.0}, "boosted"),
        ({**FAST, "boosted": 50.1}, "linear"),
        ({"linear": 1.0}, "linear"),  # not measured is no pass
    ):
        report = judged(ladder(*THREE), every(THREE), latency_ms=latency)
        assert report.registered == registered


def test_what_nobody_measured_is_told() -> None:
    report = judged(ladder(*THREE), every(THREE), latency_ms={}, parity=None)
    assert report.registered == "boosted"
    unknown = {reason.code for reason in report.reasons if reason.holds is None}
    assert unknown == {"GATE-LATENCY", "GATE-PARITY"}


@pytest.mark.parametrize("parity", [{"compared": 9, "differences": 1}, {"compared": 0}])
def test_features_that_differ_online_refuse_every_step_that_reads_them(
    parity: Mapping[str, int],
) -> None:
    names = ("constant", "rules", "linear", "boosted")
    report = judged(ladder(*names), every(names), parity={"differences": 0, **parity})
    assert report.registered == "rules"
    assert [holds for holds, _ in said(report, "GATE-PARITY")] == [
        False if parity["compared"] else None
    ] * 2


def test_where_no_step_passes_the_simplest_is_registered_and_said_to_be_no_answer() -> None:
    slow = dict.fromkeys(STEPS, 60.0)
    report = judged(ladder(*THREE), every(THREE), latency_ms=slow)
    assert report.registered == "constant"
    assert report.problem.startswith("no step holds every condition")
    assert len(said(report, "GATE-LATENCY")) == 3


def test_rankers_have_steps_of_their_own() -> None:
    names = ("hybrid", "learned")
    uplifts = [over("learned", "hybrid", -0.01, 0.02, metric="ndcg@10")]
    report = judged(ladder(*names), uplifts, latency_ms={})
    assert (report.registered, report.problem) == ("hybrid", "")
    uplifts = [over("learned", "hybrid", 0.001, 0.02, metric="ndcg@10")]
    assert judged(ladder(*names), uplifts, latency_ms={}).registered == "learned"


def test_two_uplifts_of_a_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        judged(ladder(*THREE), [*every(THREE), over("linear", "constant", 0, 1, metric="auc")])


ENDS = st.integers(-3, 3).map(lambda tenth: tenth / 10)


@given(
    lows=st.lists(ENDS, min_size=10, max_size=10),
    slow=st.sets(st.integers(0, 4)),
    bad=st.sets(st.integers(1, 4)),
)
def test_it_is_what_brute_force_finds(lows: list[float], slow: set[int], bad: set[int]) -> None:
    """Over every outcome of five steps: the last in order that beats all before it and passes."""
    names = FIVE
    pairs = list(itertools.combinations(range(5), 2))
    low = dict(zip(pairs, lows, strict=True))
    wins = [b for b in range(5) if all(low[a, b] > 0 for a in range(b))]
    passes = [b for b in wins if b not in slow and b not in bad]
    report = judged(
        ladder(*names),
        [over(names[b], names[a], end, end + 0.05) for (a, b), end in low.items()],
        latency_ms={name: 99.0 if n in slow else 1.0 for n, name in enumerate(names)},
        slices=by_pair(
            {name: [row("worse" if n in bad else "holds")] for n, name in enumerate(names)}
        ),
    )
    assert report.registered == names[max(passes, default=0)]
    assert ("nothing beats" in report.problem) == (wins == [0])
