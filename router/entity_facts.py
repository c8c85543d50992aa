"""Gives a request the features of its entities, as they were known at its own time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

from core.contracts import Json, Request, Verdict
from core.entity_features import (
    EntityEvent,
    features_at,
    history_of,
    is_stale,
    longest_us,
    microseconds,
)
from core.identity.pseudonym import pseudonym
from core.intake import admit
from core.spec import DecisionSpec
from router.ladder import Ladder
from router.reading import Known


class Told(Protocol):
    """What the store knows of an entity."""

    def entity_state(
        self, tenant_id: str, entity_type: str, entity: str, *, at: datetime, within: timedelta
    ) -> tuple[list[EntityEvent], datetime | None]:
        """Events of (at - within, at] known by `at`, and when the type's newest was known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Joined:
    """`why_person` is empty unless a feed is stale that its owner will not decide without."""

    request: Request
    why_person: str = ""


@dataclass(kw_only=True)
class AsksForAPerson:
    """Stands where a ladder begins, so that no rung decides on features that are not there."""

    name: str
    version: str
    why: str

    async def judge(self, request: Request, known: Known, deadline_s: float) -> Verdict:
        return Verdict(
            outcomes=(), reasons=(self.why,), version=self.version, rung=self.name, escalate=True
        )


def admitted(
    spec: DecisionSpec, sent: object, secret: SecretStr, tenant_id: str
) -> dict[str, Json]:
    """Validated, redacted, and with a pseudonym in place of each entity. Raises InvalidFacts."""
    facts = admit(spec.request, sent)
    # As they were sent: redaction would make one entity of all ids that look like a card.
    for key, entity in ids_of(spec, sent).items():
        if entity is not None:
            facts[key] = pseudonym(secret, tenant_id, entity)
    return facts


def ids_of(spec: DecisionSpec, sent: object) -> dict[str, str | None]:
    """Each key field's id in admitted facts, as it was sent."""
    content = sent if isinstance(sent, Mapping) else {}
    return {key: content.get(key) for key in sorted(spec.entity_keys)}


def join(spec: DecisionSpec, request: Request, ids: Mapping[str, str | None], told: Told) -> Joined:
    """`request` with a fact for each entity feature."""
    at = moment_of(spec, request)
    facts: dict[str, Json] = dict(request.facts)
    why = ""
    for name, kind in spec.entities.items():
        entity = ids[kind.key]
        if entity is None:
            facts |= features_at(kind, None, None, at)
            continue
        within = timedelta(microseconds=longest_us(kind))
        events, newest = told.entity_state(request.tenant_id, name, entity, at=at, within=within)
        watermark = microseconds(newest) if newest else None
        facts |= features_at(kind, history_of(kind, events), watermark, at)
        if kind.when_stale == "person" and is_stale(kind, watermark, at):
            since = newest.isoformat(timespec="seconds") if newest else "ever"
            why = f"no event of a {name} has come since {since}"
    return Joined(request=replace(request, facts=facts), why_person=why)


def moment_of(spec: DecisionSpec, request: Request) -> datetime:
    """When the request happened, as it says itself; else when it came in."""
    sent = request.facts.get(spec.request.time_field or "")
    return datetime.fromisoformat(sent) if isinstance(sent, str) else request.received_at


def escalated(ladder: Ladder, why: str) -> Ladder:
    """The same ladder, which hands over to a person at once and says why."""
    first = next(name for name in ladder.order if name in ladder.rungs)
    rung = AsksForAPerson(name=first, version=ladder.rungs[first].version, why=why)
    return replace(ladder, rungs={**ladder.rungs, first: rung})
