"""A decision in which every part of the contract is filled, for tests that keep and show it."""

from datetime import UTC, datetime

from core.contracts import (
    Answer,
    Decision,
    Feedback,
    NodeTrace,
    Passage,
    RuleTrace,
    Step,
    Verdict,
)

WHEN = datetime(2026, 1, 5, 11, 59, 58, 123456, tzinfo=UTC)
FACTS = {"message": "Where is my money? \U0001f4b8", "amount": 12.5, "known": None, "new": True}


def full_decision(id: str = "d1", tenant_id: str = "acme", name: str = "support") -> Decision:
    node = NodeTrace(
        label="all", truth=None, children=(NodeTrace(label="a", truth=True, note="n"),)
    )
    rules = Verdict(
        outcomes=(),
        reasons=("no rule holds",),
        version="1+abc",
        trace=(RuleTrace(rule="r1", effect="skip", node=node),),
        details={"depth": [1, {"deep": None}], "text": "ü"},
    )
    passage = Passage(
        document="refunds", title="Refunds", text="…", score=0.5, attribution={"f": 1}
    )
    retrieval = Verdict(
        rung="retrieval",
        outcomes=(),
        reasons=("no passage is sure to answer",),
        version="2",
        belief={"answer": 0.4, "block": 0.1, "person": 0.5},
        answer=Answer(text="Wait.", citations=("refunds",), made_by="extractive"),
        evidence=(passage,),
        price=0.001,
        milliseconds=7.25,
    )
    return Decision(
        id=id,
        request_id=f"request of {id}",
        tenant_id=tenant_id,
        name=name,
        outcomes=(),
        rung="person",
        probability=None,
        answer=None,
        steps=(
            Step(verdict=rules, action="next", cost_now=None, cost_next=None, why="nothing known"),
            Step(verdict=retrieval, action="person", cost_now=3.5, cost_next=4, why="4.00 < 3.50"),
        ),
        llm="no model is configured",
        release="release 1",
        features_digest="0123456789abcdef",
        language="en",
        price=0.001,
        milliseconds=9.5,
        decided_at=WHEN,
    )


def told(decision_id: str = "d1", truth: str | None = "block") -> Feedback:
    return Feedback(
        decision_id=decision_id,
        truth=truth,
        document=None,
        kpi=0.5,
        source="agent",
        happened_at=WHEN,
    )
