"""What a batch makes of probabilities is what the policy makes of each."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.calibration import Uncalibrated
from core.contracts import PERSON, Verdict
from core.errors import InvalidRequest
from core.spec import parse_spec
from router.batch_scoring import ByProbability, refuse_text
from router.policy import Bins, CostPolicy, cheapest_outcome
from router.risk import ConstantScore, RiskModel
from tests.fakes.service import SPEC
from tests.fakes.table_world import table_spec

MONEY = st.sampled_from([0.0, 0.1, 0.3, 1.0, 20.0, 100.0]) | st.floats(0, 1e6)
SILENT = Verdict(outcomes=(), reasons=(), version="", rung="rules")


def spec_of(miss: float, alarm: float, person: float, ladder: tuple[str, ...]) -> Any:
    costs = {
        "currency": "EUR",
        "error": 50,
        "wrong_answer": 50,
        "person": {"price": person, "minutes": 0, "error_rate": 0},
        "matrix": [
            {"outcome": "grant", "truth": "decline", "cost": miss},
            {"outcome": "decline", "truth": "grant", "cost": alarm},
        ],
    }
    return table_spec(costs=costs, ladder=ladder)


def model(least: float | None) -> RiskModel:
    return RiskModel(
        names=("amount",), scorer=ConstantScore(0.5), calibrator=Uncalibrated(), least=least
    )


@given(
    miss=MONEY,
    alarm=MONEY,
    person=MONEY,
    ladder=st.sampled_from([("rules", "classical", "person"), ("classical", "person")]),
    least=st.none() | st.floats(0, 1),
    chances=st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_each_as_the_policy_chooses(
    miss: float,
    alarm: float,
    person: float,
    ladder: tuple[str, ...],
    least: float | None,
    chances: list[float],
) -> None:
    spec = spec_of(miss, alarm, person, ladder)
    policy = CostPolicy(costs=spec.costs, after={})
    if miss + alarm:
        chances.append(alarm / (miss + alarm))  # where both outcomes cost the same
    if miss and person <= miss:
        chances.append(person / miss)  # where an outcome costs what a person does
    names = sorted(spec.outcomes)
    found = ByProbability(spec=spec, policy=policy, model=model(least)).outcomes(np.array(chances))
    for place, p in zip(found, chances, strict=True):
        if model(least).is_open(p):
            assert place == len(names)
            continue
        belief = {"decline": p, "grant": 1 - p}
        best = cheapest_outcome(spec.costs, names, belief)
        verdict = Verdict(outcomes=(best,), reasons=(), version="", rung="classical", belief=belief)
        before = (SILENT,) if "rules" in ladder else ()
        answers = policy.choose([*before, verdict], PERSON).action == "answer"
        assert place == (names.index(best) if answers else len(names))


def test_where_asking_the_model_costs_more_than_a_person() -> None:
    spec = spec_of(100, 20, 30, ("rules", "classical", "person"))
    bins = Bins(edges=(), means=(31.0,), counts=(9,))
    dear = CostPolicy(costs=spec.costs, after={"rules>classical/abstained": bins})
    assert not ByProbability(spec=spec, policy=dear, model=model(None)).asks
    assert ByProbability(
        spec=spec, policy=CostPolicy(costs=spec.costs, after={}), model=model(None)
    ).asks


def test_a_deadline_too_short_for_the_model() -> None:
    spec = spec_of(100, 20, 30, ("rules", "classical", "person"))
    slow = {**spec.costs.model_dump(), "rungs": {"classical": {"milliseconds": 1000}}}
    late = spec.model_copy(update={"costs": type(spec.costs).model_validate(slow)})
    policy = CostPolicy(costs=late.costs, after={})
    assert not ByProbability(spec=late, policy=policy, model=model(None)).asks


def test_a_text_is_no_batch_s() -> None:
    with pytest.raises(InvalidRequest, match="RUNG-SCORE-TEXT"):
        refuse_text(parse_spec(SPEC))
