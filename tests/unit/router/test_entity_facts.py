"""A served request has the features of its entities, and a release those it was fitted on."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from core.artifacts import ArtifactStore
from core.calibration import Uncalibrated
from core.contracts import Decision
from core.entity_features import EntityEvent
from core.errors import CorruptArtifact, InvalidFacts
from core.feature_schema import FILE
from core.spec import parse_spec
from core.store import Store
from llm import Prompts
from router.parts import RELEASE, LadderParts
from router.policy import CostPolicy
from router.risk import ConstantScore, RiskModel
from router.runtime import Runtime
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock
from tests.fakes.entity_decision import DECISION
from tests.fakes.service import SECRET, settings_for

RULES = """
version: "1"
hit_policy: first
rules:
  - id: many_payments
    when: {field: payments_30d, ge: 2}
    outcome: hold
    reason: many payments went out
"""
CARD = "4111 1111 1111 1111"  # an id that redaction would take for personal data


class NoDoor:
    """A decision without a text has no language model to ask."""

    async def warm_up(self) -> None: ...

    async def aclose(self) -> None: ...


class Served:
    """The decision of a text in a runtime of its own."""

    def __init__(self, folder: Path, text: str = DECISION) -> None:
        self.clock = FixedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        settings = settings_for(folder)
        self.store = Store.open(settings.database_url, self.clock, secret=SECRET)
        self.artifacts = ArtifactStore(settings.artifacts, b"k" * 32)
        self.runtime = Runtime(
            settings=settings,
            store=self.store,
            artifacts=self.artifacts,
            embedder=lambda: pytest.fail("nothing is embedded"),
            door=lambda parts, embedder: cast(Any, NoDoor()),
            clock=self.clock,
        )
        self.files = parts_of(text).to_files()

    def release(self, **changed: bytes | None) -> None:
        files = {k: v for k, v in (self.files | changed).items() if v is not None}
        digest = self.artifacts.put("acme", RELEASE, files, {"decision": "transfers"})
        self.store.register_release("acme", "transfers", digest)

    def pays(self, id: str, entity: str = CARD, kind: str = "payment", **ago: float) -> None:
        event = EntityEvent(
            entity=entity,
            id=id,
            kind=kind,
            happened_at=self.clock.now() - timedelta(**ago),
            known_at=self.clock.now(),
            values={"amount": 10.0, "fee": None, "shop": None} if kind == "payment" else {},
        )
        self.store.record_events("acme", "customer", [event])

    def decide(self, **facts: Any) -> tuple[Decision, dict[str, Any]]:
        """The decision and the facts that it was stored with."""
        sent = {"customer": CARD, "amount": 5.0, "ordered_at": self.clock.now().isoformat()}
        decision = asyncio.run(self.runtime.decide("acme", "transfers", sent | facts))
        stored = self.store.decision("acme", decision.id)
        assert stored and stored.facts
        return decision, dict(stored.facts)


def parts_of(text: str) -> LadderParts:
    spec = parse_spec(text)
    assert spec.risk

    return LadderParts(
        decision_yaml=text,
        rules_yaml=RULES,
        spec=spec,
        rules=RulesEngine.from_text(RULES),
        intents=None,
        risk=RiskModel(
            names=tuple(spec.risk.features), scorer=ConstantScore(0.01), calibrator=Uncalibrated()
        ),
        prompts=Prompts.load(Path("/none")),
        retrievers={},
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    served.release()
    yield served
    served.store.close()


def test_rules_and_facts_have_them(served: Served) -> None:
    served.pays("a", days=3)
    before, facts = served.decide()
    assert (before.rung, facts["payments_30d"], facts["spent_30d"]) == ("classical", 1, 10)
    served.pays("b", days=1)
    after, facts = served.decide()
    assert (after.rung, after.outcomes, facts["payments_30d"]) == ("rules", ("hold",), 2)
    assert before.features_digest != after.features_digest  # the model's row read them too


def test_another_entity_has_its_own_and_none_has_nothing(served: Served) -> None:
    served.pays("a", days=3)
    _, facts = served.decide(customer="4111 1111 1111 1112")
    assert facts["payments_30d"] == 0
    _, facts = served.decide(customer=None)
    assert facts["payments_30d"] is None and facts["customer"] is None


def test_every_key_is_stored_as_a_pseudonym(served: Served) -> None:
    _, facts = served.decide(merchant="4111 1111 1111 1113")
    _, other = served.decide(merchant="4111 1111 1111 1114")
    assert facts["customer"] == other["customer"] != facts["merchant"] != other["merchant"]
    assert all(len(f["merchant"]) == 24 for f in (facts, other))


def test_as_of_the_requests_own_time(served: Served) -> None:
    served.pays("a", hours=1)
    _, now = served.decide()
    _, earlier = served.decide(ordered_at=(served.clock.now() - timedelta(hours=2)).isoformat())
    assert now["payments_30d"] == 1
    assert earlier["payments_30d"] is None  # by then the feed had brought nothing at all


def test_a_caller_may_not_send_them(served: Served) -> None:
    with pytest.raises(InvalidFacts) as caught:
        served.decide(payments_30d=5.0)
    assert caught.value.code == "RUNG-FACTS-UNKNOWN"


def test_where_the_feed_stopped_they_are_unknown(served: Served) -> None:
    for id in "ab":
        served.pays(id, hours=1)
    assert served.decide()[0].rung == "rules"
    served.clock.advance(hours=48, microseconds=1)
    decision, facts = served.decide()
    assert facts["payments_30d"] is None and decision.rung == "classical"


def test_or_a_person_decides(tmp_path: Path) -> None:
    served = Served(
        tmp_path,
        DECISION.replace(
            "fresh_within_hours: 48", "fresh_within_hours: 48\n    when_stale: person"
        ),
    )
    served.release()
    decision, _ = served.decide()
    assert decision.rung == "person"
    assert decision.steps[0].verdict.reasons == ("no event of a customer has come since ever",)
    assert len(served.store.reviews("acme")) == 1
    served.pays("a", hours=1)
    assert served.decide()[0].rung == "classical"
    served.clock.advance(hours=49)
    decision, _ = served.decide()
    (step,) = decision.steps
    assert decision.rung == "person" and step.action == "person"
    assert step.verdict.reasons == (
        "no event of a customer has come since 2026-03-01T12:00:00+00:00",
    )
    assert served.decide(customer=None)[0].rung == "classical"  # nobody's feed is not asked
    served.store.close()


def test_a_release_holds_its_schema_and_another_is_refused(tmp_path: Path) -> None:
    served = Served(tmp_path)
    stored = json.loads(served.files[FILE])
    assert [feature["name"] for feature in stored["features"]][:2] == ["amount", "size"]
    stored["fields"]["country"]["encoding"] = {"de": 0, "fr": 1, "nl": 2}
    for other in (None, json.dumps(stored).encode()):
        served.release(**{FILE: other})
        with pytest.raises(CorruptArtifact) as caught:
            served.decide()
        assert caught.value.code == "RUNG-FEATURES-SCHEMA"
    served.release()
    assert served.decide()[0].rung == "classical"
    served.store.close()


def test_the_facts_are_what_the_model_reads(served: Served) -> None:
    from router.language import LanguageDetector
    from router.reading import Reader

    served.pays("a", days=3)
    spec = parse_spec(DECISION)
    sent = {"customer": CARD, "amount": 5.0, "ordered_at": served.clock.now().isoformat()}
    request = served.runtime.request(spec, "acme", sent)
    joined = served.runtime.joined(spec, request, sent)
    assert spec.risk
    row = dict(
        zip(
            spec.risk.features,
            Reader(spec, LanguageDetector()).read(joined.request).features,
            strict=True,
        )
    )
    assert row["payments"] == 1 and row["spent"] == np.log1p(10) and row["no_login"] == 1
