"""The gate of a ladder that reads a text: its own answers' calibration, and its latency."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.contracts import Verdict
from core.spec import load_spec
from lab.decision_evaluation import evaluation_of
from lab.decision_rows import DecisionRow
from lab.evaluation import Evaluation, SplitReport
from lab.latency import Places
from lab.traces import Observed
from router.policy import CostPolicy
from router.reading import Known

SPEC = load_spec(Path(__file__).parents[3] / "cli/template")  # p95 of 100 ms
POLICY = CostPolicy(costs=SPEC.costs, after={})
ROWS = 400


def observed(claimed: float, right: float, milliseconds: float, seed: int = 0) -> list[Observed]:
    """The rules are silent, and the classical rung says refund with probability `claimed`."""
    source = np.random.default_rng(seed)
    silent = Verdict(outcomes=(), reasons=(), version="1", milliseconds=1)
    said = Verdict(
        outcomes=("refund",),
        reasons=(),
        version="1",
        rung="classical",
        belief={"refund": claimed, "answer": 1 - claimed},
        milliseconds=milliseconds,
    )
    asked = replace(said, outcomes=(), belief={}, rung="llm", milliseconds=5000)
    facts = {"message": "m", "amount": None, "occurred_at": "2025-01-01T00:00:00Z"}
    return [
        Observed(
            row=DecisionRow(
                facts=facts,
                intent="wants_refund",
                truth="refund" if draw < right else "answer",
                documents=frozenset(),
                risky=None,
            ),
            verdicts=(silent, said, asked),
            known=Known(belief={}),
        )
        for draw in source.random(ROWS)
    ]


def evaluated(seen: Sequence[Observed], again_ms: float = 0.0) -> Evaluation:
    """`again_ms` is what every other pass over a row takes."""

    def time_again(name: str, places: Places) -> list[float]:
        assert name == "ladder"  # the rules were quick enough the first time
        return [again_ms] * len(places)

    split = SplitReport(kind="temporal", fit=1000, validation=300, test=ROWS)
    return evaluation_of(SPEC, POLICY, seen, split, [], snapshot=None, time_again=time_again)


def reason(told: Evaluation, code: str) -> tuple[bool | None, str]:
    [found] = [
        (one.holds, one.what)
        for one in told.gate.reasons
        if one.code == code and one.what.startswith("ladder")
    ]
    return found


def test_a_ladder_that_is_as_right_as_it_says_and_quick_is_let_in() -> None:
    told = evaluated(observed(claimed=0.95, right=0.95, milliseconds=20))
    assert told.gate.registered == "ladder"
    holds, what = reason(told, "GATE-CALIBRATION")
    assert holds and f"n = {ROWS}" in what and "in 99 % of samples" in what
    assert reason(told, "GATE-LATENCY") == (
        True,
        "ladder: p95 of one row is within the budget of 100 ms",
    )
    assert told.reliability is not None
    for figure in (told.reliability.ece, told.reliability.brier, told.reliability.log_loss):
        assert figure.ci_low <= figure.mean <= figure.ci_high and figure.n == ROWS


def test_a_ladder_that_is_surer_than_right_is_refused() -> None:
    """It saves money all the same: 1.3 a row against 5.5."""
    told = evaluated(observed(claimed=0.97, right=0.87, milliseconds=20))
    assert all(one.holds for one in told.gate.reasons if one.code == "GATE-UPLIFT")
    assert reason(told, "GATE-CALIBRATION")[0] is False
    assert told.gate.registered == "rules"


@pytest.mark.parametrize(("second", "registered"), [(20, "ladder"), (150, "rules")])
def test_one_busy_pass_does_not_flip_it_and_slow_rows_do(second: float, registered: str) -> None:
    """The language model's five seconds are its provider's."""
    told = evaluated(observed(0.95, 0.95, milliseconds=150), second)
    assert told.gate.registered == registered
    assert reason(told, "GATE-LATENCY")[0] is (registered == "ladder")
    quick = evaluated(observed(0.95, 0.95, 20))
    if registered == "ladder":  # no measured time is in it
        assert told.model_dump_json() == quick.model_dump_json()
