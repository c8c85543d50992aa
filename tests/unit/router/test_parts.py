"""The ladder that a release makes, out of parts that a test can see into."""

import asyncio
from pathlib import Path
from typing import Any, cast

from core.contracts import PERSON, Decision, Request
from core.spec import load_spec
from llm import ExtractiveDoor, LanguageResult, Prompts
from router.language import LanguageDetector
from router.parts import LadderParts, build_ladder
from router.policy import CostPolicy
from router.rungs import Models
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock

FOLDER = Path(__file__).parents[3] / "examples/payments_support"
SPEC = load_spec(FOLDER)
GERMAN = "Ich weiß nicht mehr weiter, können Sie mir bitte mit meiner Karte helfen?"


class ChoosingDoor(ExtractiveDoor):
    """Always chooses a refund."""

    asked = 0

    async def classify(self, text: str, outcomes: Any, **_: Any) -> LanguageResult[str]:
        self.asked += 1
        return LanguageResult(value="refund", reason=None, prompt="p", model="m")


def decided(door: ExtractiveDoor, support: SupportModel) -> Decision:
    """What is in a language that no model here covers, so that the classical rung abstains."""
    unasked = cast(Any, object())
    parts = LadderParts(
        decision_yaml="",
        rules_yaml="",
        spec=SPEC,
        rules=RulesEngine.from_text((FOLDER / "rules.yaml").read_text("utf-8")),
        intents=unasked,
        risk=None,
        prompts=Prompts.load(),
        retrievers={},
        support=support,
        policy=CostPolicy(costs=SPEC.costs, after={}),
    )
    ladder = build_ladder(
        parts,
        release="r",
        door=door,
        models=Models(),
        languages=LanguageDetector(),
        clock=FixedClock(),
    )
    facts = SPEC.request.validate_facts({"message": GERMAN})
    request = Request(
        id="r", tenant_id="t", decision="d", facts=facts, received_at=FixedClock().now()
    )
    return asyncio.run(ladder.decide(request))


def test_no_language_model_is_paid_where_a_person_is_cheaper_than_any_choice_of_it() -> None:
    door = ChoosingDoor()
    decision = decided(door, SupportModel())
    assert (decision.rung, door.asked) == (PERSON, 0)
    assert decision.llm == (
        "not asked: abstained, a person 5.97, and nothing that llm could say would cost less"
    )


def test_a_language_model_is_asked_where_its_choice_could_be_taken() -> None:
    door = ChoosingDoor()
    decision = decided(door, SupportModel(of_classification=0.99))
    assert (decision.rung, decision.outcomes, door.asked) == ("llm", ("refund",), 1)
