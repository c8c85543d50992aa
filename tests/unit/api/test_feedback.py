"""What turned out to be true: admitted truths, late but not ahead, never overwritten."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.spec import parse_spec
from tests.fakes.http_face import Face
from tests.fakes.service import NOW, SPEC

PATH = "/v1/decisions/support/feedback"


def told(id: str, **changed: Any) -> dict[str, Any]:
    body = {
        "decision_id": id,
        "truth": "answer",
        "source": "agent",
        "happened_at": "2026-03-01T11:00:00+00:00",
        **changed,
    }
    return {name: value for name, value in body.items() if value is not ...}


@pytest.mark.parametrize(
    "changed",
    [
        {"truth": "block"},
        {"truth": "person"},
        {"document": "transfers/arrival"},
        {"document": "d" * 200},
        {"truth": None, "kpi": 0.5},
        {"truth": ..., "kpi": 3},
        {"kpi": -1e9},
        {"happened_at": "2001-01-01T00:00:00Z"},
        {"happened_at": "2026-03-01T23:59:59+12:00"},
    ],
)
def test_admitted(face: Face, changed: dict[str, Any]) -> None:
    decision = face.decide().json()
    body = told(decision["id"], **changed)
    response = face.send("POST", PATH, json=body)
    assert response.status_code == 201, response.text
    (kept,) = face.send("GET", decision["trace"]).json()["feedback"]
    assert kept["truth"] == body.get("truth") and kept["kpi"] == body.get("kpi")
    when = datetime.fromisoformat(body["happened_at"])
    assert datetime.fromisoformat(kept["happened_at"]) == when


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"truth": "lost"}, "RUNG-FEEDBACK-TRUTH"),
        ({"truth": "wrong_answer"}, "RUNG-FEEDBACK-TRUTH"),
        ({"truth": "block", "document": "transfers/arrival"}, "RUNG-REQUEST-INVALID"),
        ({"truth": None}, "RUNG-REQUEST-INVALID"),
        ({"truth": 1}, "RUNG-REQUEST-INVALID"),
        ({"truth": "a\0b"}, "RUNG-REQUEST-INVALID"),
        ({"kpi": "0.5"}, "RUNG-REQUEST-INVALID"),
        ({"kpi": True}, "RUNG-REQUEST-INVALID"),
        ({"source": ""}, "RUNG-REQUEST-INVALID"),
        ({"source": ...}, "RUNG-REQUEST-INVALID"),
        ({"source": "x" * 101}, "RUNG-REQUEST-INVALID"),
        ({"document": "d" * 201}, "RUNG-REQUEST-INVALID"),
        ({"document": ""}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": ...}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "2026-03-01T11:00:00"}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": 1_772_362_800}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "yesterday"}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "0001-01-01T00:00:00+23:59"}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "9999-12-31T23:59:59-23:59"}, "RUNG-FEEDBACK-FUTURE"),
        ({"happened_at": "2026-03-01T12:01:01+00:00"}, "RUNG-FEEDBACK-FUTURE"),
        ({"decision_id": "nope"}, "RUNG-DECISION-ID"),
    ],
)
def test_refused_and_nothing_kept(face: Face, changed: dict[str, Any], code: str) -> None:
    decision = face.decide().json()
    response = face.send("POST", PATH, json=told(decision["id"], **changed))
    assert response.json()["error"]["code"] == code
    assert response.status_code == (404 if code == "RUNG-DECISION-ID" else 422)
    assert face.send("GET", decision["trace"]).json()["feedback"] == []


def test_years_late_and_more_than_once(face: Face) -> None:
    decision = face.decide().json()
    for days, truth in ((1, "block"), (700, "answer")):
        face.clock.moment = NOW + timedelta(days=days)
        body = told(decision["id"], truth=truth, happened_at=face.clock.moment.isoformat())
        assert face.send("POST", PATH, json=body).status_code == 201
    kept = face.send("GET", decision["trace"]).json()["feedback"]
    assert [one["truth"] for one in kept] == ["block", "answer"]


def test_truths_of_the_release_that_decided_are_admitted_beside_those_of_now(face: Face) -> None:
    decision = face.decide().json()
    face.service.specs["support"] = parse_spec(SPEC.replace("block", "hold"))
    for truth in ("block", "hold", "answer"):
        body = told(decision["id"], truth=truth)
        assert face.send("POST", PATH, json=body).status_code == 201
    refused = face.send("POST", PATH, json=told(decision["id"], truth="lost"))
    assert refused.json()["error"]["way_out"] == "Send one of: hold, answer, person, block."


def test_the_decision_must_be_of_that_name(face: Face) -> None:
    body = told(face.decide().json()["id"])
    response = face.send("POST", "/v1/decisions/triage/feedback", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "RUNG-DECISION-ID")


def test_the_same_idempotency_key_tells_once(face: Face) -> None:
    decision = face.decide().json()
    headers = {"Idempotency-Key": "told-1"}
    first = face.send("POST", PATH, json=told(decision["id"]), headers=headers)
    again = face.send("POST", PATH, json=told(decision["id"]), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(face.send("GET", decision["trace"]).json()["feedback"]) == 1
