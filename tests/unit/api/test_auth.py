"""No route without a key, and no key beyond its scope, its time or its tenant."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.auth import guarded, guarded_router
from core.identity.keys import SCOPES
from tests.fakes.http_face import Face

SCOPE_OF = {
    ("GET", "/v1/decisions"): "read",
    ("POST", "/v1/decisions/{name}"): "decide",
    ("GET", "/v1/decisions/{id}"): "read",
    ("POST", "/v1/decisions/{name}/feedback"): "feedback",
    ("POST", "/v1/decisions/{name}/scores"): "decide",
    ("GET", "/v1/decisions/{name}/scores/{key:path}"): "read",
    ("GET", "/v1/reviews"): "review",
    ("GET", "/v1/reviews/{id}"): "review",
    ("POST", "/v1/reviews/{id}/claim"): "review",
    ("POST", "/v1/reviews/{id}/resolve"): "review",
    ("POST", "/v1/reviews/{id}/snooze"): "review",
    ("POST", "/v1/entities/{type}/{id:path}/events"): "events",
    ("GET", "/v1/entities/{type}/{id:path}/features"): "read",
    ("PUT", "/v1/corpora/{name}/documents"): "jobs",
    ("DELETE", "/v1/corpora/{name}/documents"): "jobs",
    ("DELETE", "/v1/corpora/{name}/documents/{id:path}"): "jobs",
    ("GET", "/v1/corpora/{name}"): "jobs",
    ("GET", "/v1/corpora/{name}/documents"): "jobs",
    ("GET", "/v1/corpora/{name}/documents/{id:path}"): "jobs",
    ("GET", "/v1/jobs"): "jobs",
    ("GET", "/v1/jobs/schedules"): "jobs",
    ("GET", "/v1/jobs/{id}"): "jobs",
    ("POST", "/v1/jobs/{id}/retry"): "jobs",
    ("POST", "/v1/jobs/{id}/cancel"): "jobs",
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
}
ROUTES = sorted(SCOPE_OF)


def code(response: Any) -> str:
    found: str = response.json()["error"]["code"]
    return found


def test_every_route_of_the_app_asks_for_a_key(face: Face) -> None:
    found = set()
    for route in face.app.routes:
        assert isinstance(route, APIRoute)
        assert guarded(route.dependant), route.path
        found |= {(method, route.path) for method in route.methods or ()}
    assert found == set(SCOPE_OF)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_a_route_answers_nothing(face: Face, method: str, path: str) -> None:
    refused = face.send(method, path, headers={"Authorization": ""})
    assert (refused.status_code, code(refused)) == (401, "RUNG-KEY-INVALID")
    assert refused.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if SCOPE_OF[r]])
def test_every_other_scope_together_is_not_enough(face: Face, method: str, path: str) -> None:
    others = set(SCOPES) - {SCOPE_OF[method, path]}
    refused = face.send(method, path, key=face.scoped(*sorted(others)))
    assert (refused.status_code, code(refused)) == (403, "RUNG-SCOPE-MISSING")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_operations_take_any_good_key(face: Face, path: str) -> None:
    assert face.send("GET", path, key=face.scoped("jobs")).status_code == 200


def test_a_route_without_a_key_cannot_be_made() -> None:
    async def open_door() -> None: ...

    with pytest.raises(RuntimeError, match="/open"):
        guarded_router(subject="none").get("/open")(open_door)


@pytest.mark.parametrize(
    "presented",
    ["", "x", "rung_", "Bearer", "\u00e9", "rung_" + "a" * 90, "a" * 5000, "rung_0000000000_x_0"],
)
@pytest.mark.parametrize("carrier", ["Authorization", "X-API-Key"])
def test_malformed_keys(face: Face, presented: str, carrier: str) -> None:
    value = f"Bearer {presented}" if carrier == "Authorization" else presented
    headers = {"Authorization": "", carrier: value.encode()}
    refused = face.send("GET", "/healthz", headers=headers)
    assert (refused.status_code, code(refused)) == (401, "RUNG-KEY-INVALID")


def test_the_key_may_travel_in_either_header(face: Face) -> None:
    assert face.send("GET", "/healthz").status_code == 200
    headers = {"Authorization": "", "X-API-Key": face.key}
    assert face.send("GET", "/healthz", headers=headers).status_code == 200


def test_another_scheme_than_bearer_is_no_key(face: Face) -> None:
    headers = {"Authorization": f"Basic {face.key}"}
    assert face.send("GET", "/healthz", headers=headers).status_code == 401


def test_a_key_with_one_character_changed_is_refused(face: Face) -> None:
    for place in range(len(face.key)):
        other = "b" if face.key[place] == "a" else "a"
        changed = face.key[:place] + other + face.key[place + 1 :]
        assert face.send("GET", "/healthz", key=changed).status_code == 401


def test_revoked_and_expired_keys(face: Face) -> None:
    expiring = face.store.create_key(
        "acme", "short", ["decide"], expires_at=face.clock.moment + timedelta(hours=1)
    )
    assert face.decide(key=expiring).status_code == 200
    face.clock.moment += timedelta(hours=1)
    refused = face.decide(key=expiring)
    assert (refused.status_code, code(refused)) == (401, "RUNG-KEY-EXPIRED")

    revoked = face.scoped("decide")
    assert face.decide(key=revoked).status_code == 200
    face.store.revoke_key("acme", face.store.verify_key(revoked).key_id)
    refused = face.decide(key=revoked)
    assert (refused.status_code, code(refused)) == (401, "RUNG-KEY-INVALID")


def test_who_has_no_key_is_told_nothing_about_the_body(face: Face) -> None:
    for body in (b"{", b"[" * 100_000, b'{"facts": {}}'):
        headers = {"Authorization": "", "Content-Type": "application/json"}
        refused = face.send("POST", "/v1/decisions/support", content=body, headers=headers)
        assert refused.status_code == 401


def test_nothing_of_another_tenant_can_be_read_or_changed(face: Face) -> None:
    decision = face.decide("a person, please").json()
    (review,) = face.send("GET", "/v1/reviews").json()["reviews"]
    told = {
        "decision_id": decision["id"],
        "truth": "answer",
        "source": "agent",
        "happened_at": "2026-03-01T11:00:00+00:00",
    }
    tries = [
        ("GET", decision["trace"], None),
        ("POST", "/v1/decisions/support/feedback", told),
        ("GET", f"/v1/reviews/{review['id']}", None),
        ("GET", f"/v1/reviews?after={review['id']}", None),
        ("POST", f"/v1/reviews/{review['id']}/claim", {}),
        ("POST", f"/v1/reviews/{review['id']}/resolve", {"truth": "answer"}),
        ("POST", f"/v1/reviews/{review['id']}/snooze", {"until": "2026-03-02T00:00:00Z"}),
    ]
    for method, path, body in tries:
        assert face.send(method, path, json=body, key=face.foreign).status_code == 404, path
    assert face.send("GET", "/v1/reviews", key=face.foreign).json() == {"reviews": []}
    assert face.send("GET", decision["trace"]).json()["feedback"] == []


def test_one_tenants_idempotency_key_means_nothing_to_another(face: Face) -> None:
    headers = {"Idempotency-Key": "shared"}
    mine, theirs = face.decide(headers=headers), face.decide(headers=headers, key=face.foreign)
    assert mine.json()["id"] != theirs.json()["id"]
    assert "Idempotency-Replayed" not in theirs.headers
