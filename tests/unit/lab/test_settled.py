"""What held-out rows settle: the support first, and then the policy by its beliefs."""

from pathlib import Path

import pytest

from core.contracts import ANSWER, WRONG_ANSWER, Answer, Passage, Verdict
from core.spec import load_spec
from lab.decision_rows import DecisionRow
from lab.fit_policy import PRIOR_WEIGHT
from lab.traces import Observed
from lab.train_decision import settled
from llm.prompting import Prompts
from router.parts import LadderParts
from router.policy import CostPolicy
from router.reading import Known
from router.support import SupportModel
from rules.ruleset import RulesEngine

TEMPLATE = Path(__file__).parents[3] / "cli/template"
SPEC = load_spec(TEMPLATE)
COSTS = SPEC.costs.model_copy(update={"wrong_answer": 20.0})
ROW = DecisionRow(facts={}, intent="q", truth=ANSWER, documents=frozenset({"a"}), risky=None)
PASSAGES = tuple(Passage(document=name, title=name, text=name, score=1.0) for name in "abc")


def observed(*citations: str) -> Observed:
    """An answer of which the unfitted support believes half; right where it cites `a`."""
    silent = Verdict(outcomes=(), reasons=(), version="1")
    unsure = Verdict(
        outcomes=("refund",), reasons=(), version="1", rung="classical", belief={ANSWER: 1.0}
    )
    said = Verdict(
        outcomes=(ANSWER,),
        reasons=(),
        version="1",
        rung="llm",
        belief={ANSWER: 0.5, WRONG_ANSWER: 0.5},
        answer=Answer(text="t", citations=citations, made_by="extractive"),
    )
    known = Known(belief={ANSWER: 1.0}, evidence=PASSAGES, quality_any=0.8)
    return Observed(row=ROW, verdicts=(silent, unsure, said), known=known)


def test_the_policy_is_fitted_on_what_the_fitted_support_believes() -> None:
    rules = (TEMPLATE / "rules.yaml").read_text()
    parts = LadderParts(
        decision_yaml="",
        rules_yaml=rules,
        spec=SPEC.model_copy(update={"costs": COSTS}),
        rules=RulesEngine.from_text(rules),
        intents=None,
        risk=None,
        prompts=Prompts(answer="", extract="", classify=""),
        retrievers={},
        support=SupportModel(),
        policy=CostPolicy(costs=COSTS, after={}),
    )
    right, wrong = [observed("a")] * 80, [observed("x", "y", "z")] * 80
    policy = settled(parts, right + wrong).policy
    # The right ones are answered for nothing and the wrong ones go to a person; half a belief would
    # have sent all of them there.
    person = COSTS.of_person()
    told = policy.after["classical>llm/answer"]
    prior = PRIOR_WEIGHT * COSTS.prior_after("llm")
    assert sum(told.counts) == 160
    asked_at = 10.0  # what a refund would cost where an answer is wanted
    expected = (80 * person + prior) / (160 + PRIOR_WEIGHT)
    assert told.at(asked_at) == pytest.approx(expected)
