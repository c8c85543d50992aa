"""A service that decides by one field of its facts and records in a real store."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from core.clock import Clock
from core.contracts import Answer, Decision, NodeTrace, Passage, RuleTrace, Step, Verdict
from core.errors import NotFound
from core.settings import Settings
from core.spec import DecisionSpec, parse_spec
from core.store import Claim, Store
from router.live import Readiness

SPEC = """
name: support
version: "1"
framing:
  event: a customer sends a message
  population: all customers of the shop
  target: what the customer wants, as an agent judged it
  horizon_days: 1
  label_delay_days: 2
  kpi: {name: resolved_share, unit: share of messages, better: higher}
  owner: the support team
request:
  text: message
  fields:
    message: {type: text}
    amount: {type: number, min: 0, missing: unknown}
outcomes: {block: "Stop the payment at once."}
costs:
  currency: EUR
  error: 10
  wrong_answer: 5
  person: {price: 4, minutes: 30, error_rate: 0.02}
budgets:
  latency_p95_ms: 100
  deadline_ms: 2000
  throughput_per_s: 10
  price_per_decision: 0.01
  price_per_day: 10
ladder: [rules, classical, retrieval, person]
intents:
  fraud: {meaning: "A payment they did not make.", outcome: block}
  arrival: {meaning: "When a transfer arrives.", handler: help}
handlers:
  help: {corpus: corpus, ladder: [retrieval, person]}
"""
SECRET = SecretStr("a secret for tests, long enough to be one")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class PinnedClock:
    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment


def settings_for(folder: Path, **changed: object) -> Settings:
    values: dict[str, object] = {
        "home": folder,
        "database_url": f"sqlite:///{folder / 'rung.db'}",
        "broker_url": "filesystem://",
        "artifacts": folder / "artifacts",
        "secret": SECRET,
        **changed,
    }
    return Settings.model_validate(values)


class FakeService:
    """Every tenant has the decisions `support` and, of the same spec, `triage`.

    A message with "stolen" is blocked by a rule, one with "person" goes to a person, any other is
    answered. While `gate` is unset, decisions wait; `fault` is raised instead of deciding a message
    that holds `faulty`. `specs` and `releases` hold what a decision and a release have in place of
    the common spec.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: BaseException | None = None
        self.faulty = ""
        self.begun = 0
        self.loaded = True
        self._spec = parse_spec(SPEC)
        self.specs: dict[str, DecisionSpec] = {}
        self.releases: dict[str, DecisionSpec] = {}

    def names(self, tenant_id: str) -> Sequence[str]:
        return ["support", "triage"]

    async def spec(self, tenant_id: str, name: str, release: str | None = None) -> DecisionSpec:
        if name not in self.names(tenant_id):
            raise NotFound(
                "RUNG-DECISION-UNKNOWN", "there is no such decision", way_out="Ask for another."
            )
        if release is not None:
            return self.releases.get(release, self._spec)
        return self.specs.get(name, self._spec)

    async def decide(
        self, tenant_id: str, name: str, facts: object, *, idempotency: Claim | None = None
    ) -> Decision:
        spec = await self.spec(tenant_id, name)
        admitted = spec.request.validate_facts(facts)
        self.begun += 1
        await self.gate.wait()
        if self.fault and self.faulty in str(admitted["message"]):
            raise self.fault
        decision = decided(tenant_id, name, str(admitted["message"]), self.clock.now())
        await asyncio.to_thread(
            self.store.record_decision,
            decision,
            admitted,
            review=decision.rung == "person",
            idempotency=idempotency,
        )
        return decision

    async def model_reads(self, tenant_id: str, name: str, facts: object) -> str | None:
        """The digest "abc", as in the trace of a decision, or None where the rule speaks."""
        spec = await self.spec(tenant_id, name)
        admitted = spec.request.validate_facts(facts)
        return None if "stolen" in str(admitted.get("message")) else "abc"

    async def warm(self) -> None:
        self.loaded = True

    async def close(self) -> None:
        self.loaded = False

    def ready(self) -> Readiness:
        self.store.live_decisions()
        return Readiness(store=True, loaded=self.loaded, newest=self.loaded)


def decided(tenant_id: str, name: str, message: str, now: datetime) -> Decision:
    node = NodeTrace(label="message contains stolen", truth=None, note="a part is unknown")
    rule = RuleTrace(rule="theft", effect="skip", node=replace(node, children=(node,)))
    asked = Step(
        verdict=Verdict(outcomes=(), reasons=("no rule applies",), version="1", trace=(rule,)),
        action="next",
        cost_now=None,
        cost_next=0.25,
        why="no rule applies",
    )
    last = _last_verdict(message)
    step = Step(
        verdict=last,
        action="person" if last.rung == "person" else "answer",
        cost_now=0.5,
        cost_next=4.0,
        why="cheaper than going on",
    )
    return Decision(
        id=str(uuid4()),
        request_id=str(uuid4()),
        tenant_id=tenant_id,
        name=name,
        outcomes=last.outcomes,
        rung=last.rung,
        probability=None if last.rung == "rules" else 0.9,
        answer=last.answer,
        steps=(step,) if last.rung == "rules" else (asked, step),
        llm="not asked: a lower rung answered",
        release="release-1",
        features_digest="abc",
        language="en",
        price=0.0,
        milliseconds=1.5,
        decided_at=now,
    )


def _last_verdict(message: str) -> Verdict:
    if "stolen" in message:
        return Verdict(outcomes=("block",), reasons=("a theft is told",), version="1")
    if "person" in message:
        return Verdict(outcomes=(), reasons=("nobody is sure",), version="1", rung="person")
    passage = Passage(
        document="transfers/arrival",
        title="When a transfer arrives",
        text="A transfer arrives on the next working day.",
        score=1.5,
        attribution={"bm25": 1.0, "dense": 0.5},
    )
    return Verdict(
        outcomes=("answer",),
        reasons=("the passage answers",),
        version="1",
        rung="retrieval",
        belief={"answer": 0.9, "block": 0.1},
        answer=Answer(text=passage.text, citations=(passage.document,), made_by="extractive"),
        evidence=(passage,),
        details={"margin": 0.4},
    )
