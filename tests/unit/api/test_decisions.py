"""A decision over HTTP, its trace, and the promise of an Idempotency-Key."""

import asyncio
from typing import Any

import httpx
import pytest

from core.contracts import Decision
from tests.fakes.http_face import Face

DECIDE = "/v1/decisions/support"


def stored_decision(face: Face, id: str) -> Decision:
    found = face.store.decision("acme", id)
    assert found is not None
    return found.decision


def number_of_decisions(face: Face) -> int:
    """Counted in the trace of what reached the ladder, not in answers."""
    return face.service.begun


def test_an_answer(face: Face) -> None:
    response = face.decide("when does it arrive?")
    body = response.json()
    assert response.status_code == 200
    assert (body["rung"], body["outcomes"], body["probability"]) == ("retrieval", ["answer"], 0.9)
    assert body["answer"] == {
        "text": "A transfer arrives on the next working day.",
        "citations": ["transfers/arrival"],
        "made_by": "extractive",
    }
    assert body["trace"] == f"/v1/decisions/{body['id']}"
    assert set(body) == {
        *("id", "name", "outcomes", "rung", "probability", "answer", "llm", "language"),
        *("release", "price", "milliseconds", "trace", "evidence"),
    }
    (ranked,) = body["evidence"]
    assert ranked["document"] == "transfers/arrival"
    assert sum(ranked["attribution"].values()) == ranked["score"]


@pytest.mark.parametrize(
    ("message", "rung", "outcomes"),
    [("it was stolen", "rules", ["block"]), ("a person, please", "person", [])],
)
def test_a_rule_and_a_person(face: Face, message: str, rung: str, outcomes: list[str]) -> None:
    body = face.decide(message).json()
    assert (body["rung"], body["outcomes"], body["answer"]) == (rung, outcomes, None)


def test_the_trace_holds_every_step_of_the_stored_decision(face: Face) -> None:
    answer = face.decide().json()
    trace = face.send("GET", answer["trace"]).json()
    decision = stored_decision(face, answer["id"])
    assert {name: trace[name] for name in answer} == answer
    assert len(trace["steps"]) == len(decision.steps) == 2
    rules, retrieval = trace["steps"]
    node = rules["verdict"]["trace"][0]["node"]
    assert node["truth"] is None and node["children"][0]["label"] == node["label"]
    assert (rules["action"], rules["cost_now"], rules["cost_next"]) == ("next", None, 0.25)
    (passage,) = retrieval["verdict"]["evidence"]
    assert passage["attribution"] == {"bm25": 1.0, "dense": 0.5}
    assert sum(passage["attribution"].values()) == passage["score"]
    assert retrieval["verdict"]["belief"] == {"answer": 0.9, "block": 0.1}
    assert trace["features_digest"] == decision.features_digest
    assert "message" not in trace  # what a person sent stays in the store


def test_names(face: Face) -> None:
    assert face.send("GET", "/v1/decisions").json() == {"decisions": ["support", "triage"]}


def test_the_same_key_replays_the_same_bytes_and_decides_once(face: Face) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = face.decide(headers=headers)
    again = face.decide(headers=headers)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert number_of_decisions(face) == 1
    assert face.counted("rung_decisions_total", rung="retrieval") == 1


def test_the_order_of_keys_and_spaces_do_not_make_another_request(face: Face) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    bodies = [
        b'{"facts": {"message": "hi", "amount": 1}}',
        b'{ "facts":{"amount":1,\n"message":"hi"}}',
    ]
    first, again = (face.send("POST", DECIDE, content=b, headers=headers) for b in bodies)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"


def test_the_same_key_with_another_body_or_route_is_refused(face: Face) -> None:
    headers = {"Idempotency-Key": "order-1"}
    assert face.decide(headers=headers).status_code == 200
    other = face.decide("something else", headers=headers)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "RUNG-IDEMPOTENCY-MISMATCH"
    path = DECIDE + "/feedback"
    elsewhere = face.send("POST", path, headers=headers, json={"facts": {"message": "x"}})
    assert elsewhere.status_code == 422


def test_without_a_key_each_request_is_one_of_its_own(face: Face) -> None:
    assert face.decide().json()["id"] != face.decide().json()["id"]


def test_a_key_is_free_again_after_a_request_that_came_to_nothing(face: Face) -> None:
    headers = {"Idempotency-Key": "k"}
    bad = face.send("POST", DECIDE, json={"facts": {}}, headers=headers)
    assert bad.status_code == 422
    good = face.decide(headers=headers)
    assert good.status_code == 200 and "Idempotency-Replayed" not in good.headers


def test_a_key_in_flight_is_a_conflict_that_says_when_to_come_back(face: Face) -> None:
    body = {"facts": {"message": "hi"}}

    async def talk(client: httpx.AsyncClient) -> tuple[httpx.Response, ...]:
        def post() -> Any:
            return client.post(DECIDE, json=body, headers={"Idempotency-Key": "k"})

        face.service.gate.clear()
        first = asyncio.create_task(post())
        while not face.service.begun:
            await asyncio.sleep(0.001)
        meanwhile = await post()
        face.service.gate.set()
        return await first, meanwhile, await post()

    first, meanwhile, after = face.run(talk)
    assert (first.status_code, meanwhile.status_code, after.status_code) == (200, 409, 200)
    assert meanwhile.json()["error"]["code"] == "RUNG-IDEMPOTENCY-INFLIGHT"
    assert int(meanwhile.headers["Retry-After"]) >= 1
    assert after.content == first.content
    assert number_of_decisions(face) == 1
