"""The ladder: who is asked, when it stops, and that no request is ever lost."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Answer, Decision, Request, Verdict
from core.errors import Unavailable
from core.spec.costs import Costs, PersonCost, RungCost
from router.ladder import Ladder
from router.policy import Bins, CostPolicy
from router.reading import Known
from tests.fakes.clock import FixedClock
from tests.fakes.rungs import ScriptedRung

ORDER = ("rules", "classical", "retrieval", "llm", "person")
COSTS = Costs(
    currency="EUR",
    error=10,
    wrong_answer=6,
    person=PersonCost(price=4, minutes=0, error_rate=0),
    rungs={
        "classical": RungCost(cost_after=0),
        "retrieval": RungCost(cost_after=0),
        "llm": RungCost(price=0.5, milliseconds=200, cost_after=0),
    },
)
REQUEST = Request(id="r", tenant_id="t", decision="d", facts={}, received_at=FixedClock().now())
NOTHING = Verdict(outcomes=(), reasons=("nothing applies",), version="1")
ANSWERED = Answer(text="Three days.", citations=("transfers",), made_by="article")


def classical(**belief: float) -> Verdict:
    return Verdict(outcomes=("refund",), reasons=(), version="1", rung="classical", belief=belief)


def answering(rung: str, right: float, price: float = 0.0) -> Verdict:
    belief = {ANSWER: right, WRONG_ANSWER: 1 - right}
    return Verdict(
        outcomes=(ANSWER,),
        reasons=(),
        version="1",
        rung=rung,
        belief=belief,
        answer=ANSWERED,
        price=price,
    )


def to_help(known: Known) -> None:
    known.handler = "help"


def ladder(
    *rungs: ScriptedRung,
    handlers: Mapping[str, Sequence[str]] | None = None,
    deadline_ms: float = 2000,
    after: Mapping[str, Bins] | None = None,
) -> Ladder:
    return Ladder(
        name="d",
        release="f" * 64,
        read=lambda request: Known(language="en", features_digest="d"),
        rungs={rung.name: rung for rung in rungs},
        order=ORDER,
        handlers=handlers or {"help": ORDER[2:]},
        policy=CostPolicy(costs=COSTS, after=after or {}),
        deadline_ms=deadline_ms,
        clock=FixedClock(),
    )


def decide(asked: Ladder) -> Decision:
    return asyncio.run(asked.decide(REQUEST))


def test_a_rule_that_applies_ends_it() -> None:
    later = ScriptedRung("classical", classical(refund=1.0))
    rule = Verdict(outcomes=("block",), reasons=("stolen",), version="1")
    decision = decide(ladder(ScriptedRung("rules", rule), later))
    assert (decision.outcomes, decision.rung) == (("block",), "rules")
    assert later.asked == 0
    assert decision.llm == "not needed: rules answered"


def test_each_rung_passes_on_what_it_is_not_sure_of() -> None:
    llm = ScriptedRung("llm", answering("llm", 0.99, price=0.3))
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", classical(answer=0.9, refund=0.1), learns=to_help),
            ScriptedRung("retrieval", answering("retrieval", 0.2)),
            llm,
        )
    )
    assert [step.verdict.rung for step in decision.steps] == list(ORDER[:4])
    assert [step.action for step in decision.steps] == ["next", "next", "next", "answer"]
    assert decision.rung == "llm"
    assert decision.probability == pytest.approx(0.99)
    assert decision.price == 0.3
    assert decision.answer == ANSWERED
    assert decision.llm.startswith("asked, because retrieval did not suffice")


def test_a_sure_answer_is_given_without_a_language_model() -> None:
    llm = ScriptedRung("llm", answering("llm", 1.0))
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", classical(answer=1.0), learns=to_help),
            ScriptedRung("retrieval", answering("retrieval", 0.97)),
            llm,
        )
    )
    assert (decision.rung, llm.asked) == ("retrieval", 0)


def test_a_handler_brings_its_own_ladder() -> None:
    retrieval = ScriptedRung("retrieval", answering("retrieval", 1.0))
    unsure = ScriptedRung("classical", classical(person=1.0), learns=to_help)
    decision = decide(
        ladder(ScriptedRung("rules", NOTHING), unsure, retrieval, handlers={"help": ("person",)})
    )
    assert (decision.rung, decision.outcomes, retrieval.asked) == (PERSON, (), 0)


def test_without_a_corpus_a_language_model_may_still_classify() -> None:
    retrieval = ScriptedRung("retrieval", answering("retrieval", 1.0))
    chosen = Verdict(
        outcomes=("refund",), reasons=(), version="1", rung="llm", belief={"refund": 0.99}
    )
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", classical(refund=0.4, block=0.6)),
            retrieval,
            ScriptedRung("llm", chosen),
        )
    )
    assert (decision.rung, decision.outcomes, retrieval.asked) == ("llm", ("refund",), 0)


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("a secret in a message"),
        MemoryError(),
        Unavailable("RUNG-SOME-CODE", "the index is gone", way_out="Train again."),
    ],
)
def test_a_broken_rung_is_an_abstention(fault: Exception) -> None:
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", fault),
            ScriptedRung("llm", answering("llm", 1.0)),
        )
    )
    broken = decision.steps[1].verdict
    assert broken.abstained
    assert "a secret" not in broken.reasons[0]
    assert decision.rung == "llm"


def test_an_abstaining_language_model_leaves_the_answer_that_was_there() -> None:
    silent = Verdict(outcomes=(), reasons=("llm_late",), version="1", rung="llm", price=0.1)
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", classical(answer=1.0), learns=to_help),
            ScriptedRung("retrieval", answering("retrieval", 0.5)),  # 3.00, and a person 4.00
            ScriptedRung("llm", silent),
        )
    )
    assert (decision.rung, decision.answer) == ("retrieval", ANSWERED)
    assert [step.action for step in decision.steps] == ["next", "next", "next", "earlier"]
    assert decision.probability == pytest.approx(0.5)
    assert decision.price == 0.1


def test_the_request_is_read_once_for_every_trace() -> None:
    rule = Verdict(outcomes=("block",), reasons=(), version="1")
    decision = decide(ladder(ScriptedRung("rules", rule)))
    assert (decision.language, decision.features_digest) == ("en", "d")


def test_a_late_rung_degrades_to_a_person() -> None:
    slow = ScriptedRung("classical", classical(refund=1.0), takes_s=30)
    decision = decide(ladder(ScriptedRung("rules", NOTHING), slow, deadline_ms=150))
    assert (decision.rung, decision.outcomes) == (PERSON, ())
    assert "deadline" in decision.steps[-1].verdict.reasons[0]
    assert decision.milliseconds < 5000


def test_a_language_model_is_not_begun_where_it_cannot_end_in_time() -> None:
    llm = ScriptedRung("llm", answering("llm", 1.0))
    decision = decide(
        ladder(
            ScriptedRung("rules", NOTHING),
            ScriptedRung("classical", classical(refund=0.5, block=0.5)),
            llm,
            deadline_ms=150,  # it declares 200
        )
    )
    assert (decision.rung, llm.asked) == (PERSON, 0)
    assert "llm would come too late" in decision.steps[-1].why


def test_a_rule_may_ask_for_a_person() -> None:
    asks = Verdict(outcomes=(), reasons=("an amount is missing",), version="1", escalate=True)
    later = ScriptedRung("classical", classical(refund=1.0))
    decision = decide(ladder(ScriptedRung("rules", asks), later))
    assert (decision.rung, later.asked) == (PERSON, 0)


def test_every_rung_is_asked_for_a_trace_of_lab() -> None:
    asked = ladder(
        ScriptedRung("rules", Verdict(outcomes=("block",), reasons=(), version="1")),
        ScriptedRung("classical", classical(answer=1.0), learns=to_help),
        ScriptedRung("retrieval", answering("retrieval", 0.99)),
        ScriptedRung("llm", answering("llm", 0.99)),
    )
    told = asyncio.run(asked.ask_every(REQUEST))
    assert [verdict.rung for verdict in told.verdicts] == list(ORDER[:4])
    assert told.known.handler == "help"


def test_many_at_once_do_not_wait_for_one_another() -> None:
    slow = ScriptedRung("rules", Verdict(outcomes=("block",), reasons=(), version="1"), takes_s=0.2)
    asked = ladder(slow)

    async def together() -> list[Decision]:
        return list(await asyncio.gather(*(asked.decide(REQUEST) for _ in range(20))))

    decisions = asyncio.run(together())
    assert {d.rung for d in decisions} == {"rules"}
    assert len({d.id for d in decisions}) == 20
    assert max(d.milliseconds for d in decisions) < 20 * 200
