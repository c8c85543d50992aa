"""Events of entities over HTTP: each told once, refused whole, and read as features at once."""

from datetime import timedelta
from typing import Any

import pytest

from core.errors import Unavailable
from core.spec import DecisionSpec, parse_spec
from tests.fakes.entity_decision import DECISION
from tests.fakes.http_face import Face
from tests.fakes.service import NOW

PATH = "/v1/entities/customer/c-1/events"


@pytest.fixture
def face(face: Face) -> Face:
    """`support` knows no entities, `triage` does."""
    face.service.specs = {"triage": parse_spec(DECISION)}
    return face


def told(id: str = "e1", **changed: Any) -> dict[str, Any]:
    event = {
        "id": id,
        "kind": "payment",
        "happened_at": "2026-03-01T11:00:00+00:00",
        "values": {"amount": 25.5},
        **changed,
    }
    return {name: value for name, value in event.items() if value is not ...}


def tell(face: Face, *events: dict[str, Any], path: str = PATH, **options: Any) -> Any:
    return face.send("POST", path, json={"events": list(events)}, **options)


def features(face: Face, entity: str = "c-1", **options: Any) -> dict[str, Any]:
    response = face.send("GET", f"/v1/entities/customer/{entity}/features", **options)
    assert response.status_code == 200, response.text
    return {one["name"]: one["value"] for one in response.json()["features"]}


def test_told_and_read(face: Face) -> None:
    login = told("e2", kind="login", values=...)
    response = tell(face, told(), login)
    assert (response.status_code, response.json()) == (201, {"told": 2, "new": 2})
    found = features(face)
    assert (found["payments_30d"], found["spent_30d"]) == (1, 25.5)
    assert found["days_since_login"] == pytest.approx(1 / 24)
    assert features(face, "c-2")["payments_30d"] == 0


def test_what_is_shown_says_how_old_the_feed_is(face: Face) -> None:
    path = "/v1/entities/customer/c-1/features"
    assert face.send("GET", path).json()["age_hours"] is None
    tell(face, told())
    face.clock.moment = NOW + timedelta(hours=48)
    shown = face.send("GET", path).json()
    assert shown["type"] == "customer" and shown["age_hours"] == 48
    first = shown["features"][0]
    assert first == {
        "decision": "triage",
        "name": "payments_30d",
        "value": 1,
        "version": 2,
        "owner": "risk-team",
        "meaning": "",
        "stale": False,
    }
    face.clock.moment += timedelta(seconds=1)
    stale = face.send("GET", path).json()["features"]
    assert all(one["stale"] and one["value"] is None for one in stale)


def test_the_same_again_changes_nothing(face: Face) -> None:
    tell(face, told())
    face.clock.moment = NOW + timedelta(hours=1)
    again = tell(face, told(), told("e2"), told("e2"))
    assert (again.status_code, again.json()) == (201, {"told": 3, "new": 1})
    other = tell(face, told("e3"), told(values={"amount": 26}))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "RUNG-EVENT-CHANGED")
    assert features(face)["payments_30d"] == 2


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"kind": "refund"}, "RUNG-EVENT-KIND"),
        ({"values": ...}, "RUNG-EVENT-VALUES"),
        ({"values": {"amount": -1}}, "RUNG-EVENT-VALUES"),
        ({"values": {"amount": "5"}}, "RUNG-EVENT-VALUES"),
        ({"values": {"amount": 5, "sum": 1}}, "RUNG-EVENT-VALUES"),
        ({"values": [1]}, "RUNG-REQUEST-INVALID"),
        ({"id": ""}, "RUNG-REQUEST-INVALID"),
        ({"id": "a\0"}, "RUNG-REQUEST-INVALID"),
        ({"id": ...}, "RUNG-REQUEST-INVALID"),
        ({"known_at": "2020-01-01T00:00:00+00:00"}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "2026-03-01T11:00:00"}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": 1_772_362_800}, "RUNG-REQUEST-INVALID"),
        ({"happened_at": "2026-03-01T12:01:01+00:00"}, "RUNG-EVENT-FUTURE"),
    ],
)
def test_refused_and_nothing_kept(face: Face, changed: dict[str, Any], code: str) -> None:
    response = tell(face, told("good"), told(**{"id": "bad", **changed}))
    assert (response.status_code, response.json()["error"]["code"]) == (422, code)
    assert features(face)["payments_30d"] is None  # no event has ever come


@pytest.mark.parametrize("events", [[], [told(f"e{n}") for n in range(1001)]])
def test_none_and_too_many(face: Face, events: list[dict[str, Any]]) -> None:
    assert tell(face, *events).status_code == 422


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/entities/shop/c-1/events", 404, "RUNG-ENTITY-UNKNOWN"),
        (f"/v1/entities/customer/{'x' * 41}/events", 422, "RUNG-ENTITY-ID"),
        ("/v1/entities/customer/%00/events", 422, "RUNG-ENTITY-ID"),
        ("/v1/entities/customer/%20/events", 422, "RUNG-ENTITY-ID"),
    ],
)
def test_no_such_entity(face: Face, path: str, status: int, code: str) -> None:
    response = tell(face, told(), path=path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_an_id_is_what_a_request_sends(face: Face) -> None:
    for n, id in enumerate(("a/b", "ü 4111 1111 1111 1111", "events")):
        assert tell(face, told(f"e{n}"), path=f"/v1/entities/customer/{id}/events").is_success
        assert features(face, id)["payments_30d"] == 1


def test_another_tenant_has_its_own(face: Face) -> None:
    tell(face, told())
    assert tell(face, told(values={"amount": 1}), key=face.foreign).status_code == 201
    assert features(face)["spent_30d"] == 25.5
    assert features(face, key=face.foreign)["spent_30d"] == 1


def test_two_decisions_share_events_that_they_declare_alike(face: Face) -> None:
    longer = DECISION.replace("aggregate: count, days: 30", "aggregate: count, days: 60")
    face.service.specs["support"] = parse_spec(longer)
    tell(face, told(happened_at="2026-01-15T00:00:00+00:00"))
    shown = face.send("GET", "/v1/entities/customer/c-1/features").json()["features"]
    counts = {one["decision"]: one["value"] for one in shown if one["name"] == "payments_30d"}
    assert counts == {"support": 1, "triage": 0}
    other = DECISION.replace("fee: {type: number,", "fee: {type: integer,")
    face.service.specs["support"] = parse_spec(other)
    response = tell(face, told("e2"))
    assert (response.status_code, response.json()["error"]["code"]) == (409, "RUNG-ENTITY-CONFLICT")


def test_a_decision_that_does_not_load_may_be_the_one(face: Face) -> None:
    """The event must come again, where it would else be lost as one of no known entity."""
    broken = Unavailable("RUNG-STORE-UNAVAILABLE", "it does not answer", way_out="Send it again.")

    async def spec(tenant_id: str, name: str) -> DecisionSpec:
        if name == "support":
            raise broken
        return parse_spec(DECISION)

    face.service.spec = spec  # type: ignore[method-assign]
    assert tell(face, told()).status_code == 201
    response = tell(face, told(), path="/v1/entities/shop/c-1/events")
    assert response.status_code == 503 and "Retry-After" in response.headers
