"""Scores over HTTP: fresh, stale, absent, changed facts, ranked, once, and each tenant's own."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from core.errors import Unavailable
from core.store.scores import ScoredRows
from core.store.tables import decisions, idempotency
from tests.fakes.http_face import Face
from tests.fakes.service import NOW
from tests.fakes.table_world import table_spec

PATH = "/v1/decisions/triage/scores"
FIELDS = {"customer": {"type": "text"}, "message": {"type": "text"}}


class Kept:
    """`triage` keeps scores by customer; c-1 to c-3 were scored by release r1 an hour ago."""

    def __init__(
        self,
        face: Face,
        when_stale: str = "online",
        *,
        key: str = "customer",
        fields: Mapping[str, Any] = FIELDS,
    ) -> None:
        self.face = face
        self.hidden = key == "customer"
        fields = {**FIELDS, **fields, "amount": {"type": "number", "missing": "unknown"}}
        fields |= {"age": {"type": "integer", "missing": "unknown"}}
        scores = {"key": key, "fresh_for_hours": 24, "when_stale": when_stale}
        self.spec = table_spec(name="triage", fields=fields, scores=scores)
        face.service.specs = {"triage": self.spec}
        face.store.register_release("acme", "triage", "r1")
        self.keep("acme", ["c-1", "c-2", "c-3"], [0.1, 0.9, 0.3], ["grant", "decline", "grant"])

    def keep(self, tenant: str, keys: list[str], p: list[float], outcomes: list[str]) -> None:
        store = self.face.store
        rows = ScoredRows(
            release="r1",
            scored_at=NOW - timedelta(hours=1),
            expires_at=NOW + timedelta(hours=23),
            keys=store.score_keys(tenant, keys, hidden=self.hidden),
            probabilities=p,
            outcomes=outcomes,
            digests=["abc" if outcome != "decline" else "" for outcome in outcomes],
        )
        store.keep_scores(tenant, self.spec.name, rows)

    def ask(self, *requests: Any, key: str | None = None, **more: Any) -> list[dict[str, Any]]:
        body = {"requests": list(requests), **more}
        response = self.face.send("POST", PATH, json=body, key=key)
        assert response.status_code == 200, response.text
        scores: list[dict[str, Any]] = response.json()["scores"]
        return scores


@pytest.fixture
def kept(face: Face) -> Kept:
    return Kept(face)


def facts(message: str = "a loan", **more: Any) -> dict[str, Any]:
    return {"message": message, **more}


def test_fresh_scores_are_answered_and_ranked_by_what_they_cost(kept: Kept) -> None:
    told = kept.ask({"key": "c-3"}, {"key": "c-1"}, {"key": "c-2"})
    # c-2 was decided by a rule, which is certain; a grant costs 100 where it should be declined.
    assert [(one["key"], one["rank"]) for one in told] == [("c-2", 1), ("c-1", 2), ("c-3", 3)]
    assert [one["expected_cost"] for one in told] == pytest.approx([0, 10, 30])
    assert [one["probability"] for one in told] == [None, 0.1, 0.3]
    assert {(one["source"], one["age_seconds"], one["release"]) for one in told} == {
        ("cache", 3600, "r1")
    }
    assert told[0]["outcomes"] == ["decline"]
    told = kept.ask({"key": "c-3"}, {"key": "c-1"}, {"key": "c-2"}, order_by="probability")
    assert [one["key"] for one in told] == ["c-3", "c-1", "c-2"]
    assert kept.face.store.decision_names("acme") == ("triage",)


def test_facts_that_the_model_would_read_alike_keep_the_score(kept: Kept) -> None:
    (one,) = kept.ask({"key": "c-1", "facts": facts()})
    assert (one["source"], one["decision_id"]) == ("cache", None)
    (one,) = kept.ask({"key": "c-1", "facts": facts("stolen")})  # a rule would speak now
    assert one["source"] == "online" and "not those" in one["why"]
    (one,) = kept.ask({"key": "c-2", "facts": facts()})  # a rule has spoken then
    assert one["source"] == "online"
    shown = kept.face.send("GET", f"/v1/decisions/{one['decision_id']}")
    assert shown.status_code == 200  # recorded as any other


def test_where_there_is_none_it_is_decided_online(kept: Kept) -> None:
    told = kept.ask({"key": "c-9", "facts": facts()}, {"key": "c-8"})
    assert [(one["source"], one["rank"]) for one in told] == [("online", 1), ("refused", None)]
    assert told[0]["why"] == "there is no score"
    assert told[1]["error"]["code"] == "RUNG-SCORE-UNKNOWN" and told[1]["outcomes"] == []


@pytest.mark.parametrize("why", ["time", "release"])
@pytest.mark.parametrize("when_stale", ["online", "refuse", "stale"])
def test_a_stale_score(face: Face, when_stale: str, why: str) -> None:
    kept = Kept(face, when_stale)
    if why == "time":
        face.clock.moment = NOW + timedelta(hours=23)
    else:
        face.store.register_release("acme", "triage", "r2")
    alone, sent = ({"key": "c-1"}, {"key": "c-3", "facts": facts()})
    told = {one["key"]: one for one in kept.ask(alone, sent)}
    source = {
        "online": ("refused", "online"),
        "refuse": ("refused", "refused"),
        "stale": ("stale", "stale"),
    }[when_stale]
    assert (told["c-1"]["source"], told["c-3"]["source"]) == source
    if when_stale != "stale":
        assert told["c-1"]["error"]["code"] == "RUNG-SCORE-STALE"
    shown = face.send("GET", f"{PATH}/c-1").json()
    assert (shown["source"], shown["outcomes"]) == ("stale", ["grant"])
    assert ("another release" in shown["why"]) == (why == "release")


def test_one_bad_request_spoils_no_other(kept: Kept) -> None:
    told = kept.ask(
        {"key": "c-9", "facts": {"message": 7}},
        {"key": "c-8", "facts": facts(customer="c-7")},
        {"key": "c-7", "facts": [1]},
        {"key": "c-1"},
    )
    assert [one["error"] and one["error"]["code"] for one in told] == [
        None,
        "RUNG-FACTS-VALUE",
        "RUNG-SCORE-KEY",
        "RUNG-FACTS-TYPE",
    ]


@pytest.mark.parametrize(
    "field", [{"type": "category", "values": ["1", "2"]}, {"type": "integer", "min": 0}]
)
def test_a_key_that_cannot_be_stored_spoils_no_other(face: Face, field: dict[str, Any]) -> None:
    """One that is a text can: it is stored by its pseudonym."""
    kept = Kept(face, key="branch", fields={"branch": field})
    kept.keep("acme", ["1"], [0.1], ["grant"])
    long, null, large = "c" * 201, "c\0", 10**250
    asked = [{"key": long}, {"key": null}, {"key": large}, {"key": long, "facts": facts()}]
    told = kept.ask(*asked, {"key": "1"})
    assert [(one["key"], one["source"]) for one in told] == [
        ("1", "cache"),
        *((one["key"], "refused") for one in asked),
    ]
    assert {one["error"]["code"] for one in told[1:]} == {"RUNG-TEXT-INVALID"}
    alone = face.send("GET", f"{PATH}/{long}")
    assert (alone.status_code, alone.json()["error"]["code"]) == (422, "RUNG-TEXT-INVALID")


@pytest.mark.parametrize(
    "body",
    [
        {"requests": []},
        {"requests": [{"key": "c"}] * 1001},
        {"requests": [{"key": 1.5}]},
        {"requests": [{"key": "c", "fact": {}}]},
        {"requests": [{"key": "c"}], "order_by": "name"},
        {},
    ],
)
def test_other_bodies_are_refused(kept: Kept, body: Any) -> None:
    assert kept.face.send("POST", PATH, json=body).status_code == 422


def test_one_by_its_key(kept: Kept) -> None:
    shown = kept.face.send("GET", f"{PATH}/c-1")
    assert shown.status_code == 200
    assert shown.json()["source"] == "cache" and shown.json()["probability"] == 0.1
    absent = kept.face.send("GET", f"{PATH}/c-9")
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "RUNG-SCORE-UNKNOWN")
    kept.keep("acme", ["a/b c"], [0.2], ["grant"])
    assert kept.face.send("GET", f"{PATH}/a%2Fb%20c").status_code == 200


def test_tenants_and_scopes_are_apart(kept: Kept) -> None:
    (one,) = kept.ask({"key": "c-1"}, key=kept.face.foreign)
    assert one["error"]["code"] == "RUNG-SCORE-UNKNOWN"
    assert kept.face.send("GET", f"{PATH}/c-1", key=kept.face.foreign).status_code == 404
    reader, decider = kept.face.scoped("read"), kept.face.scoped("decide")
    body = {"requests": [{"key": "c-1"}]}
    assert kept.face.send("POST", PATH, json=body, key=reader).status_code == 403
    assert kept.face.send("POST", PATH, json=body, key=decider).status_code == 200
    assert kept.face.send("GET", f"{PATH}/c-1", key=decider).status_code == 403


def test_a_decision_that_keeps_none(kept: Kept) -> None:
    path = "/v1/decisions/support/scores"
    refused = kept.face.send("POST", path, json={"requests": [{"key": "c"}]})
    assert refused.json()["error"]["code"] == "RUNG-SCORES-UNDECLARED"
    assert kept.face.send("GET", "/v1/decisions/Nobody/scores/c").status_code == 404


ONCE = {"Idempotency-Key": "batch-1"}


def asked(*messages: str) -> dict[str, Any]:
    """Of customers who have no score, so that each is decided."""
    rows = [{"key": f"new-{n}", "facts": facts(m)} for n, m in enumerate(messages)]
    return {"requests": [*rows, {"key": "c-1"}]}


def recorded(kept: Kept) -> int:
    with kept.face.store.reading() as connection:
        return connection.execute(select(func.count()).select_from(decisions)).scalar_one()


def test_a_repeated_request_decides_nothing_and_is_answered_as_before(kept: Kept) -> None:
    body = asked("a loan", "it was stolen", "a person, please")
    first = kept.face.send("POST", PATH, json=body, headers=ONCE)
    kept.face.clock.moment = NOW + timedelta(hours=23)  # what is kept has become stale since
    again = kept.face.send("POST", PATH, json=body, headers=ONCE)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert recorded(kept) == 3 and len(kept.face.store.reviews("acme")) == 1
    other = kept.face.send("POST", PATH, json={**body, "order_by": "probability"}, headers=ONCE)
    assert other.json()["error"]["code"] == "RUNG-IDEMPOTENCY-MISMATCH"


def test_what_is_kept_of_an_answer_names_nobody(kept: Kept) -> None:
    kept.face.send("POST", PATH, json=asked("a loan"), headers=ONCE)
    with kept.face.store.reading() as connection:
        rows = connection.execute(select(idempotency)).all()
    assert len(rows) == 2  # of the request, and of the one that was decided
    assert not any(name in str(rows) for name in ("new-0", "c-1", "a loan"))


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Unavailable("RUNG-STORE-UNAVAILABLE", "down", way_out="Again."), 200),
        (ZeroDivisionError(), 500),
    ],
)
def test_after_a_failure_the_same_request_decides_the_rest(
    kept: Kept, fault: BaseException, status: int
) -> None:
    service, body = kept.face.service, asked("a loan", "a bad loan", "another loan")
    kept.face.app.state.context = replace(kept.face.app.state.context, online_at_once=1)
    service.fault, service.faulty = fault, "bad"
    assert kept.face.send("POST", PATH, json=body, headers=ONCE).status_code == status
    before = recorded(kept)
    assert before == (2 if status == 200 else 1)
    service.fault = None
    other = kept.face.send("POST", PATH, json=asked("another loan"), headers=ONCE)
    assert other.json()["error"]["code"] == "RUNG-IDEMPOTENCY-MISMATCH"
    again = kept.face.send("POST", PATH, json=body, headers=ONCE)
    assert "Idempotency-Replayed" not in again.headers
    assert recorded(kept) == 3
    ids = [one["decision_id"] for one in again.json()["scores"] if one["source"] == "online"]
    assert len(set(ids)) == 3
    assert kept.face.counted("rung_decisions_total", rung="retrieval") == 3
    replayed = kept.face.send("POST", PATH, json=body, headers=ONCE)
    assert replayed.content == again.content


def test_the_same_row_twice_is_two_requests(kept: Kept) -> None:
    row = {"key": "new", "facts": facts()}
    kept.face.send("POST", PATH, json={"requests": [row, row]}, headers=ONCE)
    assert recorded(kept) == 2


@pytest.mark.parametrize(("limit", "together"), [(64, 4), (2, 2)])
def test_a_few_are_decided_at_a_time(tmp_path: Path, limit: int, together: int) -> None:
    kept = Kept(Face(tmp_path, max_concurrency=limit))
    service = kept.face.service
    body = {"requests": [{"key": f"new-{n}", "facts": facts()} for n in range(9)]}

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        service.gate.clear()
        asking = asyncio.create_task(client.post(PATH, json=body))
        while service.begun < together:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # no other begins while these wait
        assert service.begun == together
        service.gate.set()
        return await asking

    told = kept.face.run(talk).json()["scores"]
    assert [one["source"] for one in told] == ["online"] * 9
    kept.face.store.close()


def test_what_is_not_begun_in_time_is_told_and_decided_by_the_next_request(kept: Kept) -> None:
    context, body = kept.face.app.state.context, asked("a loan")
    kept.face.app.state.context = replace(context, online_seconds=0.0)
    told = kept.face.send("POST", PATH, json=body, headers=ONCE).json()["scores"]
    assert [(one["key"], one["source"]) for one in told] == [("c-1", "cache"), ("new-0", "refused")]
    assert told[1]["error"]["code"] == "RUNG-SCORES-LATE"
    assert recorded(kept) == 0
    kept.face.app.state.context = context
    told = kept.face.send("POST", PATH, json=body, headers=ONCE).json()["scores"]
    assert {one["source"] for one in told} == {"cache", "online"}
