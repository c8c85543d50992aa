"""A ladder in money: worked by hand on a few observed rows, and intervals that know clusters."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Answer, Verdict
from core.spec import load_spec
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import always, evaluate_observed, settle
from lab.fit_support import fit_support, with_support
from lab.traces import Observed, is_right, realised_cost, trace_of
from router.policy import Bins, CostPolicy
from router.reading import Known
from router.support import SupportModel

SPEC = load_spec(Path(__file__).parents[3] / "cli/template")
# The template's: error 10, wrong answer 5, refund where a specialist was needed 60,
# a person 4 + 60 min x 0.02 + 0.03 x 10 = 5.5, the language model 0.01 + 2 s of time.
PERSON_COST = 5.5
POLICY = CostPolicy(costs=SPEC.costs, after={})
NOTHING_AFTER = Bins(edges=(), means=(0.0,), counts=(1,))
ASKING = CostPolicy(costs=SPEC.costs, after={"classical>llm/answer": NOTHING_AFTER})


def row(truth: str, *documents: str) -> DecisionRow:
    facts = {"message": "m", "amount": None, "occurred_at": None}
    return DecisionRow(
        facts=facts, intent="question", truth=truth, documents=frozenset(documents), risky=None
    )


def answer(rung: str, right: float, *citations: str) -> Verdict:
    return Verdict(
        outcomes=(ANSWER,),
        reasons=(),
        version="1",
        rung=rung,
        belief={ANSWER: right, WRONG_ANSWER: 1 - right},
        answer=Answer(text="t", citations=citations, made_by="extractive"),
    )


def classical(**belief: float) -> Verdict:
    return Verdict(outcomes=("refund",), reasons=(), version="1", rung="classical", belief=belief)


RULE = Verdict(outcomes=(), reasons=(), version="1")


def seen(truth: DecisionRow, *verdicts: Verdict) -> Observed:
    known = Known(belief={ANSWER: 1.0}, quality_any=0.8)
    return Observed(row=truth, verdicts=(RULE, *verdicts), known=known)


def test_an_answer_is_right_where_it_cites_all_it_must_rest_on() -> None:
    one, two = row(ANSWER, "fees"), row(ANSWER, "fees", "limits")
    assert is_right(one, ANSWER, answer("llm", 0.9, "limits", "fees"))
    assert not is_right(two, ANSWER, answer("llm", 0.9, "fees"))
    assert not is_right(row("refund"), ANSWER, answer("llm", 0.9, "fees"))
    assert realised_cost(SPEC.costs, two, answer("llm", 0.9, "fees")) == 5
    assert realised_cost(SPEC.costs, row("refund"), answer("llm", 0.9, "fees")) == 10
    assert realised_cost(SPEC.costs, row("escalate"), classical(refund=1.0)) == 60
    assert realised_cost(SPEC.costs, row("refund"), RULE) is None


def test_settled_by_hand() -> None:
    sure = settle(POLICY, seen(row("refund"), classical(refund=0.99, escalate=0.01)))
    assert (sure.rung, sure.right, sure.cost) == ("classical", True, 0.0)
    wrong = settle(POLICY, seen(row("escalate"), classical(refund=0.99, escalate=0.01)))
    assert (wrong.rung, wrong.right, wrong.cost) == ("classical", False, 60.0)
    unsure = settle(POLICY, seen(row("refund"), classical(refund=0.5, escalate=0.5)))
    assert (unsure.rung, unsure.right, unsure.cost) == (PERSON, None, pytest.approx(PERSON_COST))


def test_the_other_ways_cost_what_they_are_said_to() -> None:
    one = seen(row(ANSWER, "fees"), classical(answer=1.0), answer("llm", 0.2, "limits"))
    asking = 0.01 + 2 / 60 * 0.02
    assert always(SPEC.costs, one, PERSON).cost == pytest.approx(PERSON_COST)
    assert always(SPEC.costs, one, "llm").cost == pytest.approx(asking + 5)
    assert always(SPEC.costs, one, "rules").cost == pytest.approx(PERSON_COST)
    assert always(SPEC.costs, one, "classical").cost == pytest.approx(10)


def test_the_report_counts_and_says_what_is_too_few() -> None:
    rows = [seen(row("refund"), classical(refund=0.999, escalate=0.001)) for _ in range(40)]
    rows += [seen(row("refund"), classical(refund=0.5, escalate=0.5)) for _ in range(10)]
    spec = SPEC.model_copy(update={"slices": ("language", "amount")})
    report = evaluate_observed(spec, POLICY, rows)
    assert report["rungs"]["classical"] == {
        "n": 40,
        "share": 0.8,
        "accuracy": {
            "mean": 1.0,
            "ci_low": pytest.approx(0.912, abs=2e-3),
            "ci_high": 1.0,
            "n": 40,
        },
    }
    assert report["rungs"][PERSON]["n"] == 10
    assert report["rungs"][PERSON]["accuracy"] is None
    assert report["cost_per_decision"]["mean"] == pytest.approx(10 * PERSON_COST / 50)
    assert report["saved_against"]["always_person"]["mean"] == pytest.approx(PERSON_COST * 40 / 50)
    assert report["slices"]["language"]["und"]["enough"]
    few = evaluate_observed(spec, POLICY, rows[:5])
    assert not few["slices"]["amount"]["unknown"]["enough"]


def test_a_row_takes_the_time_of_the_rungs_it_went_through_but_for_the_language_model() -> None:
    def timed(verdict: Verdict, milliseconds: float) -> Verdict:
        return replace(verdict, milliseconds=milliseconds)

    quick = timed(classical(refund=0.99, escalate=0.01), 20)
    unsure = timed(classical(answer=0.9, refund=0.1), 20)
    paid = timed(answer("llm", 0.99, "fees"), 1000)
    rule = timed(RULE, 1)
    stopped = settle(
        POLICY, replace(seen(row("refund"), quick, paid), verdicts=(rule, quick, paid))
    )
    assert (stopped.rung, stopped.milliseconds) == ("classical", 21)
    went_on = replace(seen(row(ANSWER, "fees")), verdicts=(rule, unsure, paid))
    assert settle(ASKING, went_on).rung == "llm"
    assert settle(ASKING, went_on).milliseconds == 21


def test_support_is_learnt_from_held_out_answers_and_believed_after() -> None:
    right = [seen(row(ANSWER, "fees"), answer("llm", 0.5, "fees")) for _ in range(80)]
    wrong = [seen(row(ANSWER, "fees"), answer("llm", 0.5, "a", "b", "c")) for _ in range(80)]
    support = fit_support(right + wrong)
    assert support.probability(0.8, answer("llm", 0.5, "fees").answer) > 0.9  # type: ignore[arg-type]
    believed = with_support(support, SPEC, wrong[0]).verdicts[-1]
    assert believed.belief[ANSWER] < 0.1
    assert trace_of(SPEC.costs, wrong[0]).realised == (None, 5)
    assert fit_support(right) == SupportModel()  # nothing was ever wrong: no slope from that
    assert SupportModel.from_files(support.to_files()) == support
