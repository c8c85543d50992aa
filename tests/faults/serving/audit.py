"""Compares what the store holds with what was noted outside of it."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from core.store import Store
from core.store.tables import (
    decisions,
    feedback,
    idempotency,
    payloads,
    review_events,
    reviews,
)
from tests.fakes.ledger_outside import Told

SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Each list names at most a few; all are empty where nothing went wrong."""

    missing: list[str] = field(default_factory=list)  # acknowledged, and not there as answered
    phantom: list[str] = field(default_factory=list)  # there, and never sent
    doubled: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    decisions: int = 0
    feedbacks: int = 0
    to_a_person: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        found = {
            "missing": self.missing,
            "phantom": self.phantom,
            "doubled": self.doubled,
            "half-written": self.half_written,
        }
        return {name: [*ids[:SHOWN], f"{len(ids)} in all"] for name, ids in found.items() if ids}


def audit(store: Store, told: Told) -> Audit:
    rows = _Rows(store)
    found = Audit(
        decisions=len(rows.decisions),
        feedbacks=sum(rows.feedback.values()),
        to_a_person=sum(rows.reviews.values()),
    )
    decided = _decision_of_key(rows)
    _audit_decisions(rows, told, decided, found)
    _audit_feedback(rows, told, found)
    _audit_parts(rows, found)
    return found


class _Rows:
    """All of the store, by the decision's id."""

    def __init__(self, store: Store) -> None:
        with store.reading() as connection:
            self.keys = list(
                connection.execute(
                    select(idempotency.c.key, idempotency.c.done, idempotency.c.decision_id)
                )
            )
            documents = connection.execute(select(decisions.c.id, decisions.c.document))
            self.decisions: dict[str, Any] = {row.id: row.document for row in documents}
            kept = connection.execute(select(payloads.c.decision_id, payloads.c.facts))
            self.facts: dict[str, Any] = {row.decision_id: row.facts for row in kept}
            of = feedback.c
            self.feedback = Counter(
                (row.decision_id, row.kpi, row.truth)
                for row in connection.execute(select(of.decision_id, of.kpi, of.truth))
            )
            self.reviews = Counter(connection.execute(select(reviews.c.decision_id)).scalars())
            opened = select(reviews.c.decision_id).join(
                review_events, review_events.c.review_id == reviews.c.id
            )
            self.opened = Counter(connection.execute(opened).scalars())


def _decision_of_key(rows: _Rows) -> dict[str, str]:
    return {
        row.key: row.decision_id for row in rows.keys if row.done and row.key.startswith("decide-")
    }


def _audit_decisions(rows: _Rows, told: Told, decided: dict[str, str], found: Audit) -> None:
    for key, answer in told.acknowledged.items():
        if key.startswith("decide-") and not _is_as_answered(rows, answer, decided.get(key)):
            found.missing.append(key)
    keys_of: dict[str, list[str]] = {}
    for key, decision_id in decided.items():
        keys_of.setdefault(decision_id, []).append(key)
    for decision_id, facts in rows.facts.items():
        keys = keys_of.get(decision_id, [])
        if len(keys) > 1:
            found.doubled.append(decision_id)
        elif not keys or not _was_sent(told, keys[0], facts):
            found.phantom.append(decision_id)
    amounts = Counter(facts["amount"] for facts in rows.facts.values())
    found.doubled.extend(f"amount {amount}" for amount, times in amounts.items() if times > 1)


def _is_as_answered(rows: _Rows, answer: dict[str, Any], decision_id: str | None) -> bool:
    stored = rows.decisions.get(answer["id"])
    if stored is None or decision_id != answer["id"]:
        return False
    same = ("id", "name", "outcomes", "rung", "probability", "llm", "release", "milliseconds")
    return all(json.dumps(stored[name]) == json.dumps(answer[name]) for name in same)


def _was_sent(told: Told, key: str, facts: dict[str, Any]) -> bool:
    """All facts as they were sent, but for the entity, which is kept as a pseudonym."""
    sent = told.sent.get(key)
    return sent is not None and all(
        facts[name] == value for name, value in sent["facts"].items() if name != "customer"
    )


def _audit_feedback(rows: _Rows, told: Told, found: Audit) -> None:
    sent = {
        (body["decision_id"], body["kpi"], body["truth"]): key
        for key, body in told.sent.items()
        if key.startswith("feedback-")
    }
    done = {row.key for row in rows.keys if row.done}
    for row, times in rows.feedback.items():
        key = sent.get(row)
        if key is None:
            found.phantom.append(f"feedback {row}")
        elif key not in done:
            found.half_written.append(key)
        if times > 1:
            found.doubled.append(f"feedback {row}")
    for row, key in sent.items():
        stands = row in rows.feedback
        if key in told.acknowledged and not stands:
            found.missing.append(key)
        if key in done and not stands:
            found.half_written.append(key)


def _audit_parts(rows: _Rows, found: Audit) -> None:
    """Decision, payload, and a review with its first event where a person is asked."""
    for decision_id, document in rows.decisions.items():
        asked = int(document["rung"] == "person")
        parts = (
            int(decision_id in rows.facts),
            rows.reviews[decision_id],
            rows.opened[decision_id],
        )
        if parts != (1, asked, asked):
            found.half_written.append(f"{decision_id} {parts}")
    for name, ids in (("payload", rows.facts), ("review", rows.reviews)):
        found.phantom.extend(f"{name} of {i}" for i in ids if i not in rows.decisions)
    for row in rows.keys:
        if row.done and row.decision_id not in rows.decisions:
            found.half_written.append(f"key {row.key}")
