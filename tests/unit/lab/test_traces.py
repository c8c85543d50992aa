"""What lab says a ladder costs is what that ladder decides, whatever its rungs say."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Answer, Passage, Verdict
from core.spec import load_spec
from core.spec.costs import Costs, PersonCost, RungCost
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import settle
from lab.fit_policy import cost_of_policy, fit_policy
from lab.fit_support import with_support
from lab.traces import Observed, observe, request_of, trace_of
from router.ladder import Ladder
from router.policy import CostPolicy
from router.reading import Known
from router.support import SupportModel
from tests.fakes.clock import FixedClock
from tests.fakes.rungs import ScriptedRung

SPEC = load_spec(Path(__file__).parents[3] / "cli/template")
COSTS = Costs(
    currency="EUR",
    error=10,
    wrong_answer=6,
    person=PersonCost(price=4, minutes=0, error_rate=0),
    rungs={
        "classical": RungCost(cost_after=0),
        "retrieval": RungCost(cost_after=1),
        "llm": RungCost(price=0.5, cost_after=1),
    },
)
ROW = DecisionRow(facts={}, intent="q", truth=ANSWER, documents=frozenset(), risky=None)
SILENT = Verdict(outcomes=(), reasons=(), version="1")


def saying(rung: str, right: float | None) -> Verdict:
    """`right` as it is believed; None abstains."""
    if right is None:
        return replace(SILENT, rung=rung)
    belief = {ANSWER: right, WRONG_ANSWER: 1 - right}
    answer = Answer(text="t", citations=(), made_by="extractive")
    return replace(SILENT, outcomes=(ANSWER,), rung=rung, belief=belief, answer=answer)


def to_help(known: Known) -> None:
    known.handler = "help"


def ladder(policy: CostPolicy, said: Sequence[Verdict], could_say: Sequence[Verdict]) -> Ladder:
    """Rules, then what each verdict's rung says; `could_say` is foreseen of the language model."""
    rungs = [ScriptedRung("rules", SILENT)]
    rungs += [ScriptedRung(one.rung, one, learns=to_help) for one in said]
    return Ladder(
        name="d",
        release="f" * 64,
        read=lambda request: Known(language="en", features_digest="d"),
        rungs={rung.name: rung for rung in rungs},
        order=("rules", "classical", "retrieval", "llm", PERSON),
        handlers={"help": ("retrieval", "llm", PERSON)},
        policy=policy,
        deadline_ms=60_000,
        clock=FixedClock(),
        prospects={"llm": lambda known: could_say},
    )


believed = st.none() | st.floats(0, 1)


@given(
    rights=st.tuples(believed, believed, believed),
    could_say=st.lists(believed, max_size=3),
    others=st.lists(st.tuples(believed, believed, believed, believed), max_size=12),
)
def test_a_row_is_settled_as_the_ladder_decides_it(
    rights: Sequence[float | None],
    could_say: Sequence[float | None],
    others: Sequence[Sequence[float | None]],
) -> None:
    names = ("classical", "retrieval", "llm")

    def observed(
        policy: CostPolicy, rights: Sequence[float | None], foreseen: Sequence[float | None]
    ) -> Observed:
        said = [saying(*one) for one in zip(names, rights, strict=True)]
        asked = ladder(policy, said, [saying("llm", right) for right in foreseen])
        [one] = observe(asked, [ROW], lambda done, total: None)
        return one

    unfitted = CostPolicy(costs=COSTS, after={})
    held_out = [observed(unfitted, other[:3], other[3:]) for other in others]
    policy = fit_policy(COSTS, [trace_of(COSTS, one) for one in held_out], least=1, bins=2)
    one = observed(policy, rights, could_say)
    said = [saying(*pair) for pair in zip(names, rights, strict=True)]
    asked = ladder(policy, said, [saying("llm", right) for right in could_say])
    decision = asyncio.run(asked.decide(request_of("d", ROW, 0)))
    settled = settle(policy, one)
    assert settled.rung == decision.rung
    # Fitting weighs a trace as evaluation does.
    assert cost_of_policy(policy, [trace_of(COSTS, one)]) == [pytest.approx(settled.cost)]


def test_what_usually_follows_is_learnt_from_rows_on_which_the_rung_may_be_asked() -> None:
    def trace(foreseen: float) -> Observed:
        said = (saying("retrieval", 0.2), saying("llm", 0.9))
        return Observed(
            row=ROW, verdicts=said, known=Known(), foreseen={"llm": [saying("llm", foreseen)]}
        )

    hopeful, hopeless = trace(0.9), trace(0.2)
    traces = [trace_of(COSTS, one) for one in [hopeful] * 3 + [hopeless] * 40]
    policy = fit_policy(COSTS, traces, prior_weight=0)
    assert policy.after["retrieval>llm/answer"].counts == (3,)
    assert settle(policy, hopeless).rung == PERSON
    assert settle(policy, hopeful).rung == "llm"
    assert "retrieval>llm/answer" not in fit_policy(COSTS, traces[3:]).after


def test_a_support_that_is_fitted_later_foresees_by_itself() -> None:
    passages = tuple(Passage(document=name, title=name, text=name, score=1.0) for name in "ab")
    known = Known(belief={ANSWER: 1.0}, evidence=passages, quality_any=0.5)
    seen = Observed(row=ROW, verdicts=(SILENT,), known=known)
    for bias in (-3.0, 3.0):
        support = SupportModel(bias=bias)
        one, *_ = with_support(support, SPEC, seen).foreseen["llm"]
        assert one.answer is not None
        assert one.belief[ANSWER] == pytest.approx(support.probability(0.5, one.answer))
