"""The people's queue over HTTP: claim, resolve as feedback, snooze, once each."""

from datetime import timedelta
from typing import Any

import pytest

from core.spec import parse_spec
from tests.fakes.http_face import Face
from tests.fakes.service import NOW, SPEC

LONG_ID = "transfers/" + "d" * 190  # as long as a document's id may be


def waiting(face: Face, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = face.send("GET", "/v1/reviews", params=query).json()["reviews"]
    return found


@pytest.fixture
def review(face: Face) -> str:
    face.decide("a person, please")
    (item,) = waiting(face)
    return str(item["id"])


def change(face: Face, id: str, verb: str, **body: Any) -> Any:
    key = body.pop("key", None)
    headers = {"Idempotency-Key": key} if key else {}
    return face.send("POST", f"/v1/reviews/{id}/{verb}", json=body, headers=headers)


def test_an_item_has_what_a_person_needs(face: Face, review: str) -> None:
    (item,) = waiting(face, state="open")
    assert item["facts"] == {"message": "a person, please", "amount": None}
    assert any("nobody is sure" in reason for reason in item["reasons"])
    assert (item["decision"], item["overdue"], item["claimed_by"]) == ("support", False, None)
    detail = face.send("GET", f"/v1/reviews/{review}").json()
    assert [event["event"] for event in detail.pop("events")] == ["opened"]
    assert detail == item


def test_only_what_a_person_must_see_waits(face: Face) -> None:
    face.decide("when does it arrive?")
    face.decide("it was stolen")
    assert waiting(face) == []


def test_claim_resolve_and_the_feedback_it_is(face: Face, review: str) -> None:
    claimed = change(face, review, "claim", who="ada").json()
    assert (claimed["state"], claimed["claimed_by"]) == ("claimed", "ada")
    taken = change(face, review, "claim", who="bob")
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "RUNG-REVIEW-CLAIMED")
    assert int(taken.headers["Retry-After"]) > 1
    resolved = change(face, review, "resolve", who="ada", truth="answer", document=LONG_ID)
    assert resolved.json()["state"] == "resolved"
    trace = face.send("GET", f"/v1/decisions/{claimed['decision_id']}").json()
    (told,) = trace["feedback"]
    assert (told["truth"], told["document"], told["source"]) == ("answer", LONG_ID, "review")
    twice = change(face, review, "resolve", who="ada", truth="block")
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "RUNG-REVIEW-RESOLVED")
    assert "Retry-After" not in twice.headers


def test_without_a_name_or_a_body_the_key_is_the_person(face: Face, review: str) -> None:
    response = face.send("POST", f"/v1/reviews/{review}/claim")
    key_id = face.store.verify_key(face.key).key_id
    assert response.json()["claimed_by"] == f"key:{key_id}"


def test_a_snooze_ends_by_itself(face: Face, review: str) -> None:
    until = NOW + timedelta(hours=2)
    snoozed = change(face, review, "snooze", until=until.isoformat(), note="asked the bank")
    assert snoozed.json()["state"] == "snoozed"
    assert waiting(face, state="open") == []
    face.clock.moment = until
    assert [item["id"] for item in waiting(face, state="open")] == [review]


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("resolve", {}, "RUNG-REQUEST-INVALID"),
        ("resolve", {"truth": "lost"}, "RUNG-FEEDBACK-TRUTH"),
        ("resolve", {"truth": "block", "document": "a"}, "RUNG-REQUEST-INVALID"),
        ("resolve", {"truth": "block", "note": "x" * 4001}, "RUNG-REQUEST-INVALID"),
        ("claim", {"who": ""}, "RUNG-REQUEST-INVALID"),
        ("claim", {"whom": "ada"}, "RUNG-REQUEST-INVALID"),
        ("snooze", {}, "RUNG-REQUEST-INVALID"),
        ("snooze", {"until": "2026-02-01T00:00:00Z"}, "RUNG-REVIEW-SNOOZE"),
        ("snooze", {"until": "2027-02-01T00:00:00Z"}, "RUNG-REVIEW-SNOOZE"),
        ("snooze", {"until": "9999-12-31T23:59:59-23:59"}, "RUNG-REVIEW-SNOOZE"),
    ],
)
def test_refused_and_unchanged(
    face: Face, review: str, verb: str, body: dict[str, Any], code: str
) -> None:
    before = waiting(face)
    response = change(face, review, verb, **body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, code)
    assert waiting(face) == before


def test_a_resolution_may_be_a_truth_of_the_release_that_decided(face: Face, review: str) -> None:
    face.service.specs["support"] = renamed = parse_spec(SPEC.replace("block", "hold"))
    first = change(face, review, "resolve", key="once", truth="block")
    face.service.releases["release-1"] = renamed  # as if that truth had never been one
    again = change(face, review, "resolve", key="once", truth="block")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content  # what has been done is not judged again


def test_a_key_is_free_again_after_a_refusal(face: Face, review: str) -> None:
    refused = change(face, review, "resolve", key="once", truth="lost")
    assert refused.json()["error"]["code"] == "RUNG-FEEDBACK-TRUTH"
    assert change(face, review, "resolve", key="once", truth="block").status_code == 200


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("claim", {"who": "ada"}),
        ("resolve", {"truth": "answer"}),
        ("snooze", {"until": "2026-03-02T00:00:00Z"}),
    ],
)
def test_a_change_with_a_key_happens_once(
    face: Face, review: str, verb: str, body: dict[str, Any]
) -> None:
    first = change(face, review, verb, key="once", **body)
    again = change(face, review, verb, key="once", **body)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    events = face.send("GET", f"/v1/reviews/{review}").json()["events"]
    assert len(events) == 2  # opened, and the change
    other = change(face, review, verb, key="once", **{**body, "who": "eve"})
    assert other.status_code == 422


def test_pages(face: Face) -> None:
    for number in range(5):
        face.clock.moment = NOW + timedelta(minutes=number)
        face.decide(f"person {number}")
    whole = [item["id"] for item in waiting(face)]
    first = [item["id"] for item in waiting(face, limit=2)]
    rest = [item["id"] for item in waiting(face, after=first[-1])]
    assert first + rest == whole and len(whole) == 5
