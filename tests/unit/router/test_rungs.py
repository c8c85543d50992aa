"""The rungs join what their rooms predict into one belief, whose parts always sum to one."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Answer, Passage, Request, Verdict
from core.errors import Overloaded
from core.spec import DecisionSpec, load_spec
from llm import ExtractiveDoor, LanguageResult
from router.language import Language
from router.policy import CostPolicy, cost_now
from router.reading import Known, Reader
from router.risk import Reason
from router.rungs import ClassicalRung, LanguageRung, Models, RetrievalRung, split_answer
from router.support import SupportModel
from tests.fakes.clock import FixedClock

EXAMPLE = load_spec(Path(__file__).parents[3] / "examples/payments_support")
FACTS = EXAMPLE.request.validate_facts(
    {"message": "When does my transfer arrive? And what does it cost?", "customer": "c"}
)
REQUEST = Request(id="r", tenant_id="t", decision="d", facts=FACTS, received_at=FixedClock().now())
PASSAGES = (
    Passage(document="times", title="Times", text="A transfer arrives in one day.", score=2.0),
    Passage(document="fees", title="Fees", text="A transfer costs nothing at all.", score=1.0),
)


@dataclass(frozen=True, kw_only=True)
class Predicted:
    probabilities: Any
    out_of_scope: Any
    embedded: Any


class Intents:
    def __init__(self, probabilities: Mapping[str, float], outside: float = 0.0) -> None:
        self.intents = tuple(sorted(EXAMPLE.intents))
        self._row = [probabilities.get(name, 0.0) for name in self.intents]
        self._outside = outside

    def predict(self, texts: Sequence[str]) -> Predicted:
        return Predicted(
            probabilities=np.array([self._row]),
            out_of_scope=np.array([self._outside]),
            embedded=np.array([False]),
        )


class Risk:
    def __init__(self, probability: float) -> None:
        self._probability = probability

    def predict(self, rows: Any) -> Any:
        return np.array([self._probability])

    def reasons(self, row: Any, top: int = 3) -> tuple[Reason, ...]:
        return (Reason(feature="amount", value=1.0, contribution=2.0),)


class Languages:
    def __init__(self, code: str) -> None:
        self._code = code

    def detect(self, text: str) -> Language:
        return Language(code=self._code, probability=1.0)


def classical(
    intents: Mapping[str, float],
    *,
    outside: float = 0.0,
    risk: float = 0.0,
    spec: DecisionSpec = EXAMPLE,
) -> ClassicalRung:
    return ClassicalRung(
        spec=spec,
        intents=Intents(intents, outside),  # type: ignore[arg-type]
        risk=Risk(risk),  # type: ignore[arg-type]
        covered=frozenset({"en"}),
        version="1",
        models=Models(),
    )


def test_risk_and_intent_are_joined_as_independent() -> None:
    known = Known(language="en")
    rung = classical({"duplicate_charge": 0.75, "ask_fees": 0.25}, outside=0.2, risk=0.1)
    verdict = asyncio.run(rung.judge(REQUEST, known, 1.0))
    shown = {truth: p for truth, p in verdict.belief.items() if p}
    assert shown == pytest.approx(
        {"block_card": 0.1, PERSON: 0.9 * 0.2, "refund": 0.9 * 0.8 * 0.75, ANSWER: 0.9 * 0.8 * 0.25}
    )
    assert sum(verdict.belief.values()) == pytest.approx(1)
    assert known.handler is None  # a refund is more probable than an answer
    assert known.belief == verdict.belief
    # 250 for a refund on a fraud: with one chance in ten, blocking is the cheaper error.
    assert verdict.outcomes == ("block_card",)
    assert "amount" in verdict.reasons[-1]


def test_an_intent_with_a_handler_names_its_corpus() -> None:
    known = Known(language="en")
    asyncio.run(classical({"business": 0.9, "ask_fees": 0.1}).judge(REQUEST, known, 1.0))
    assert known.handler == "business"
    known = Known(language="en")
    asyncio.run(classical({"complaint": 1.0}).judge(REQUEST, known, 1.0))
    assert known.handler == "complaints"


def test_a_language_that_no_model_covers_abstains() -> None:
    known = Reader(EXAMPLE, Languages("de")).read(REQUEST)  # type: ignore[arg-type]
    assert (known.language, len(known.features)) == ("de", 12)
    assert known.features_digest
    verdict = asyncio.run(classical({"duplicate_charge": 1.0}).judge(REQUEST, known, 1.0))
    assert verdict.abstained and not known.belief


def test_a_queue_that_eats_the_deadline_sheds_instead_of_asking_a_person() -> None:
    models = Models()
    models.refuse_overload(3.0)

    async def busy() -> None:
        waiting = [asyncio.ensure_future(models.run(lambda: time.sleep(0.02))) for _ in range(60)]
        await asyncio.gather(*waiting[:30])
        with pytest.raises(Overloaded) as caught:
            models.refuse_overload(0.05)
        assert caught.value.retry_after == 1.0
        await asyncio.gather(*waiting)
        models.refuse_overload(0.05)

    asyncio.run(busy())


def test_work_that_its_deadline_cancels_waits_no_more() -> None:
    models = Models()

    async def late() -> None:
        async with asyncio.timeout(0.05):
            await models.run(lambda: time.sleep(0.02))

    async def burst() -> None:
        ends = await asyncio.gather(*(late() for _ in range(30)), return_exceptions=True)
        cut = sum(isinstance(end, TimeoutError) for end in ends)
        assert cut > 10
        await models.run(lambda: None)  # whatever was begun has ended
        models.refuse_overload(0.001)

    asyncio.run(burst())


def test_what_fails_in_the_thread_is_raised_and_waits_no_more() -> None:
    models = Models()

    async def broken() -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await models.run(lambda: 1 / 0)
        models.refuse_overload(1e-9)

    asyncio.run(broken())


class Choosing(ExtractiveDoor):
    async def classify(self, text: str, outcomes: Any, **_: Any) -> LanguageResult[str]:
        return LanguageResult(value="refund", reason=None, prompt="p", model="m")


def test_a_choice_that_nothing_else_supports_is_never_cheap() -> None:
    rung = LanguageRung(spec=EXAMPLE, door=Choosing(), support=SupportModel(), version="1")
    verdict = asyncio.run(rung.judge(REQUEST, Known(), 5.0))
    assert verdict.outcomes == ("refund",)
    choice = CostPolicy(costs=EXAMPLE.costs, after={}).choose([verdict], PERSON)
    assert choice.action == "person"


def test_a_choice_that_could_not_be_taken_is_not_paid_for() -> None:
    """Where the classical rung abstained, every outcome may be as wrong as can be."""
    policy = CostPolicy(costs=EXAMPLE.costs, after={})
    silent = Verdict(outcomes=(), reasons=(), version="1", rung="classical")
    assert policy.choose([silent], "llm").action == "next"  # by the declared cost after it
    rung = LanguageRung(spec=EXAMPLE, door=Choosing(), support=SupportModel(), version="1")
    choice = policy.choose([silent], "llm", prospects=rung.prospects(Known()))
    assert (choice.action, "nothing that llm could say" in choice.why) == ("person", True)
    sure = SupportModel(of_classification=0.99)
    rung = LanguageRung(spec=EXAMPLE, door=Choosing(), support=sure, version="1")
    assert policy.choose([silent], "llm", prospects=rung.prospects(Known())).action == "next"


@pytest.mark.parametrize("of_citations", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("evidence", [(), PASSAGES])
def test_what_is_said_lies_among_its_prospects(
    evidence: tuple[Passage, ...], of_citations: float
) -> None:
    support = SupportModel(of_citations=of_citations)
    rung = LanguageRung(spec=EXAMPLE, door=Choosing(), support=support, version="1")
    known = Known(belief={ANSWER: 0.7, "refund": 0.3}, evidence=evidence, quality_any=0.6)
    costs = [cost_now(EXAMPLE.costs, one) or 0.0 for one in rung.prospects(known)]
    said = cost_now(EXAMPLE.costs, asyncio.run(rung.judge(REQUEST, known, 5.0)))
    assert said is not None and min(costs) <= said <= max(costs)


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    passages: tuple[Passage, ...] = PASSAGES
    quality: float = 0.7
    quality_any: float = 0.9


class Corpus:
    def __init__(self, result: Retrieved) -> None:
        self._result = result

    @property
    def version(self) -> str:
        return "0123456789ab"

    def retrieve(self, text: str, k: int) -> Retrieved:
        return self._result


def retrieval(result: Retrieved) -> RetrievalRung:
    return RetrievalRung(
        spec=EXAMPLE, retrievers={"corpus": Corpus(result)}, version="1", models=Models()
    )


def test_retrieval_splits_the_chance_of_an_answer_and_leaves_the_rest() -> None:
    known = Known(belief={ANSWER: 0.8, "refund": 0.2}, handler="help")
    verdict = asyncio.run(retrieval(Retrieved()).judge(REQUEST, known, 1.0))
    assert verdict.belief == pytest.approx({ANSWER: 0.56, WRONG_ANSWER: 0.24, "refund": 0.2})
    assert verdict.answer == Answer(text=PASSAGES[0].text, citations=("times",), made_by="article")
    assert (known.evidence, known.quality_any) == (PASSAGES, 0.9)
    assert (verdict.details["corpus"], verdict.details["index"]) == ("corpus", "0123456789ab")


def test_retrieval_abstains_where_every_document_is_gone() -> None:
    known = Known(belief={ANSWER: 0.8, "refund": 0.2}, handler="help")
    nothing = Retrieved(passages=(), quality=0.0, quality_any=0.0)
    verdict = asyncio.run(retrieval(nothing).judge(REQUEST, known, 1.0))
    assert verdict.abstained and known.evidence == ()
    assert verdict.details["index"] == "0123456789ab"


@pytest.mark.parametrize("handler", [None, "complaints"])
def test_without_a_corpus_retrieval_abstains(handler: str | None) -> None:
    known = Known(belief={ANSWER: 1.0}, handler=handler)
    assert asyncio.run(retrieval(Retrieved()).judge(REQUEST, known, 1.0)).abstained


def test_the_keyless_door_answers_from_the_evidence_and_is_labelled() -> None:
    rung = LanguageRung(spec=EXAMPLE, door=ExtractiveDoor(), support=SupportModel(), version="1")
    known = Known(belief={ANSWER: 0.9, "refund": 0.1}, evidence=PASSAGES, quality_any=0.9)
    verdict = asyncio.run(rung.judge(REQUEST, known, 5.0))
    assert verdict.answer is not None
    assert verdict.answer.made_by == "extractive"
    assert set(verdict.answer.citations) <= {"times", "fees"}
    assert verdict.price == 0
    assert sum(verdict.belief.values()) == pytest.approx(1)
    asked_to_choose = asyncio.run(rung.judge(REQUEST, Known(belief={"refund": 1.0}), 5.0))
    assert asked_to_choose.abstained


@pytest.mark.parametrize("right", [0.0, 0.3, 1.0])
def test_a_split_keeps_the_sum(right: float) -> None:
    split = split_answer({ANSWER: 0.6, "refund": 0.3, PERSON: 0.1}, right)
    assert sum(split.values()) == pytest.approx(1)
    assert split_answer({"refund": 1.0}, right)["refund"] == 1.0
