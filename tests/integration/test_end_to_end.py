"""The example as its users meet it: trained, served by a real process, and asked over real HTTP."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from tests.conftest import copied
from tests.schemas import faults
from tests.terminal import EXAMPLE, command, environment, told

RUNGS = ("rules", "classical", "retrieval", "llm", "person")
PATH = "/v1/decisions/payments_support"
ALL_SCOPES = [w for s in ("decide", "read", "feedback", "review") for w in ("--scope", s)]
PATIENCE_S = 120  # far above what a start takes; reached only where it hangs
REQUESTS: list[dict[str, Any]] = [
    json.loads(line) for line in (EXAMPLE / "requests.jsonl").read_text("utf-8").splitlines()
]


@dataclass(frozen=True, kw_only=True)
class Server:
    home: Path
    address: str
    process: subprocess.Popen[str]
    log: Path
    key: str

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60)

    def decide(self, facts: Mapping[str, Any], **headers: str) -> httpx.Response:
        with self.client() as client:
            return client.post(PATH, json={"facts": facts}, headers=headers)

    def get(self, path: str) -> Any:
        with self.client() as client:
            answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serving(home: Path, log: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """`rung serve --port 0` until the end of the block; its address is what it prints."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            command("serve", "--port", 0, "--json"),
            env=environment(home),
            cwd=home.parent,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            line = _stdout(process).readline()
            assert line, log.read_text()
            announced = json.loads(line)
            assert faults("serve", announced) == []
            yield announced["address"], process
        finally:
            process.kill()
            process.wait()
            _stdout(process).close()


def _stdout(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@pytest.fixture(scope="module")
def server(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    home = copied(trained_home, folder / "home")
    key = told(home, "key", "create", *ALL_SCOPES, "--name", "everything")["key"]
    with serving(home, folder / "stderr") as (address, process):
        server = Server(home=home, address=address, process=process, log=folder / "stderr", key=key)
        until = time.monotonic() + PATIENCE_S
        with server.client() as client:
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < until, server.log.read_text()
                time.sleep(0.1)
        yield server
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def answers(server: Server) -> list[dict[str, Any]]:
    """What the server answered to each of the example's requests."""
    responses = [server.decide(facts) for facts in REQUESTS]
    assert [response.status_code for response in responses] == [200] * len(REQUESTS)
    return [response.json() for response in responses]


def place_of(answers: list[dict[str, Any]], rung: str) -> int:
    return next(place for place, answer in enumerate(answers) if answer["rung"] == rung)


# --- every rung, and its trace


def test_every_rung_answers_some_request(answers: list[dict[str, Any]]) -> None:
    assert {answer["rung"] for answer in answers} == set(RUNGS)
    for answer in answers:
        assert bool(answer["outcomes"]) is (answer["rung"] != "person")
        assert (answer["answer"] is not None) is (answer["outcomes"] == ["answer"])


@pytest.mark.parametrize("rung", RUNGS)
def test_a_trace_tells_how_it_came_to_it(
    server: Server, answers: list[dict[str, Any]], rung: str
) -> None:
    answer = answers[place_of(answers, rung)]
    trace = server.get(answer["trace"])
    assert {name: trace[name] for name in answer} == answer
    asked = [step["verdict"]["rung"] for step in trace["steps"]]
    assert asked == [name for name in RUNGS if name in asked]  # upwards only
    *before, last = trace["steps"]
    assert all(step["action"] == "next" and step["why"] for step in before)
    if rung == "person":
        assert last["action"] == "person"
    elif last["action"] == "answer":
        assert asked[-1] == rung
    else:
        assert last["action"] == "earlier" and rung in asked
    for step in trace["steps"]:
        belief = step["verdict"]["belief"]
        assert not belief or sum(belief.values()) == pytest.approx(1)
    assert trace["feedback"] == []


def test_a_rule_tells_every_condition(server: Server, answers: list[dict[str, Any]]) -> None:
    place = place_of(answers, "rules")
    (step,) = server.get(answers[place]["trace"])["steps"]
    rules = {rule["rule"]: rule for rule in step["verdict"]["trace"]}
    assert rules["reported_fraud"]["effect"] == "match"
    assert rules["reported_fraud"]["node"]["truth"] is True
    assert REQUESTS[place]["reported_fraud"] is True


def test_evidence_is_shown_with_what_its_rank_is_made_of(
    server: Server, answers: list[dict[str, Any]]
) -> None:
    trace = server.get(answers[place_of(answers, "retrieval")]["trace"])
    (verdict,) = [s["verdict"] for s in trace["steps"] if s["verdict"]["rung"] == "retrieval"]
    evidence = verdict["evidence"]
    assert [passage["document"] for passage in evidence[:1]] == trace["answer"]["citations"]
    assert trace["answer"]["made_by"] == "article"
    scores = [passage["score"] for passage in evidence]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True)
    for passage in evidence:
        assert sum(passage["attribution"].values()) == pytest.approx(passage["score"], abs=1e-5)
        articles = EXAMPLE.glob(f"corpus*/{passage['document']}.md")
        assert [passage["title"] in article.read_text("utf-8") for article in articles] == [True]


def test_without_a_key_the_language_rung_quotes_what_it_cites(
    server: Server, answers: list[dict[str, Any]]
) -> None:
    trace = server.get(answers[place_of(answers, "llm")]["trace"])
    answer, verdict = trace["answer"], trace["steps"][-1]["verdict"]
    assert answer["made_by"] == "extractive" and trace["price"] == 0
    texts = {passage["document"]: passage["text"] for passage in verdict["evidence"]}
    assert answer["citations"] and set(answer["citations"]) <= set(texts)
    quoted = " ".join(" ".join(texts[name].split()) for name in answer["citations"])
    sentences = [s for s in answer["text"].replace("\n", " ").split(". ") if s]
    assert sentences and all(" ".join(s.split()).rstrip(".") in quoted for s in sentences)


# --- sending twice, feedback, people


def test_sent_twice_is_decided_once(server: Server) -> None:
    facts, key = REQUESTS[0], {"Idempotency-Key": "message-4711"}
    first, again = server.decide(facts, **key), server.decide(facts, **key)
    assert first.status_code == again.status_code == 200
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    other = server.decide(REQUESTS[1], **key)
    assert (other.status_code, other.json()["error"]["code"]) == (
        422,
        "RUNG-IDEMPOTENCY-MISMATCH",
    )
    assert server.decide(facts).json()["id"] != first.json()["id"]


def test_feedback_comes_late_and_more_than_once(server: Server) -> None:
    decision = server.decide(REQUESTS[1]).json()
    later: list[dict[str, Any]] = [
        {"truth": "refund", "happened_at": datetime.now(UTC).isoformat()},
        {"kpi": 1.0, "happened_at": (datetime.now(UTC) - timedelta(days=30)).isoformat()},
        {"truth": "block_card", "happened_at": datetime.now(UTC).isoformat()},
    ]
    with server.client() as client:
        for body in later:
            body |= {"decision_id": decision["id"], "source": "back office"}
            assert client.post(f"{PATH}/feedback", json=body).status_code == 201
        strange = {**later[0], "truth": "pay_twice"}
        refused = client.post(f"{PATH}/feedback", json=strange)
    assert refused.json()["error"]["code"] == "RUNG-FEEDBACK-TRUTH"
    kept = server.get(decision["trace"])["feedback"]
    assert [one["truth"] for one in kept] == ["refund", None, "block_card"]
    assert [one["kpi"] for one in kept] == [None, 1.0, None]


def test_what_goes_to_a_person_is_claimed_resolved_and_remembered(
    server: Server, answers: list[dict[str, Any]]
) -> None:
    asked = answers[place_of(answers, "person")]
    with server.client() as client:
        waiting = client.get("/v1/reviews", params={"state": "open", "limit": 200}).json()
        (review,) = [r for r in waiting["reviews"] if r["decision_id"] == asked["id"]]
        assert review["facts"]["message"] == REQUESTS[place_of(answers, "person")]["message"]
        assert review["reasons"]
        path = f"/v1/reviews/{review['id']}"
        claimed = client.post(f"{path}/claim", json={"who": "ada"})
        assert (claimed.status_code, claimed.json()["state"]) == (200, "claimed")
        taken = client.post(f"{path}/claim", json={"who": "ben"})
        assert (taken.status_code, taken.json()["error"]["code"]) == (409, "RUNG-REVIEW-CLAIMED")
        resolution = {"who": "ada", "truth": "refund", "note": "looked it up"}
        assert client.post(f"{path}/resolve", json=resolution).json()["state"] == "resolved"
        events = client.get(path).json()["events"]
    assert [event["event"] for event in events] == ["opened", "claimed", "resolved"]
    (kept,) = server.get(asked["trace"])["feedback"]
    assert (kept["truth"], kept["source"]) == ("refund", "review")


# --- who may ask, and for what


def test_no_key_and_a_revoked_one_open_nothing(server: Server) -> None:
    body = {"facts": REQUESTS[0]}
    created = told(server.home, "key", "create", "--scope", "decide", "--name", "short-lived")
    with httpx.Client(base_url=server.address, timeout=60) as nobody:
        for path in (PATH, "/healthz", "/metrics", "/openapi.json"):
            method = "POST" if path == PATH else "GET"
            assert nobody.request(method, path, json=body).status_code == 401
    with server.client(created["key"]) as client:
        assert client.post(PATH, json=body).status_code == 200
        assert client.get("/v1/decisions").status_code == 403  # it may decide, not read
        told(server.home, "key", "revoke", "short-lived")
        refused = client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "RUNG-KEY-INVALID")


def test_another_tenant_sees_nothing(server: Server, answers: list[dict[str, Any]]) -> None:
    words = ["key", "create", *ALL_SCOPES, "--tenant", "other"]
    mine = server.get("/v1/reviews?limit=200")["reviews"]
    with server.client(told(server.home, *words)["key"]) as client:
        assert client.get("/v1/decisions").json() == {"decisions": []}
        assert client.get("/v1/reviews").json() == {"reviews": []}
        tries = [
            client.get(answers[0]["trace"]),
            client.post(PATH, json={"facts": REQUESTS[0]}),
            client.get(f"/v1/reviews/{mine[0]['id']}"),
            client.post(f"/v1/reviews/{mine[0]['id']}/claim", json={}),
            client.post(
                f"{PATH}/feedback",
                json={
                    "decision_id": answers[0]["id"],
                    "truth": "refund",
                    "source": "elsewhere",
                    "happened_at": datetime.now(UTC).isoformat(),
                },
            ),
        ]
    assert [response.status_code for response in tries] == [404] * len(tries)


def test_an_unknown_decision(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/decisions/nope", json={"facts": REQUESTS[0]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "RUNG-DECISION-UNKNOWN")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"message": None}, "RUNG-FACTS-NULL"),
        ({"amount": -1}, "RUNG-FACTS-VALUE"),
        ({"amount": "12"}, "RUNG-FACTS-VALUE"),
        ({"kind": "something"}, "RUNG-FACTS-VALUE"),
        ({"colour": "red"}, "RUNG-FACTS-UNKNOWN"),
        ({"chargeback_filed": True}, "RUNG-FACTS-UNKNOWN"),  # it is known afterwards only
        ({"message": "x" * 4001}, "RUNG-FACTS-VALUE"),
    ],
)
def test_bad_facts(server: Server, change: dict[str, Any], code: str) -> None:
    answer = server.decide({**REQUESTS[0], **change})
    assert answer.status_code == 422, answer.text
    assert faults("error", answer.json()) == []
    assert answer.json()["error"]["code"] == code


# --- what is counted, what is kept, and how it ends


def test_metrics_count_by_the_rung_that_answered(
    server: Server, answers: list[dict[str, Any]]
) -> None:
    before = counted(server)
    assert set(before) == set(RUNGS)  # since `answers` were given
    for rung in RUNGS:
        again = server.decide(REQUESTS[place_of(answers, rung)]).json()
        assert again["rung"] == rung
    after = counted(server)
    assert {rung: after[rung] - before[rung] for rung in RUNGS} == dict.fromkeys(RUNGS, 1)
    server.decide({})
    assert counted(server) == after  # what is refused is no decision


def counted(server: Server) -> dict[str, float]:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    start = 'rung_decisions_total{rung="'
    found = [line.removeprefix(start).split('"} ') for line in lines if line.startswith(start)]
    return {rung: float(count) for rung, count in found}


MAIL, CARD, CUSTOMER = "maria.q.sand@example.org", "4111 1111 1111 1111", "customer-7391-x"


def test_personal_data_is_kept_nowhere(server: Server, answers: list[dict[str, Any]]) -> None:
    facts = {
        **REQUESTS[place_of(answers, "person")],
        "customer": CUSTOMER,
        "message": f"Which shares should I buy? Write to {MAIL}, my card is {CARD}.",
    }
    first, second = (server.decide(facts).json() for _ in range(2))
    reviews = server.get("/v1/reviews?limit=200")["reviews"]
    kept = [r["facts"] for r in reviews if r["decision_id"] in (first["id"], second["id"])]
    assert len(kept) == 2  # both went to a person, who sees what is stored
    assert "<email>" in kept[0]["message"] and "<card>" in kept[0]["message"]
    pseudonyms = {facts["customer"] for facts in kept}
    assert len(pseudonyms) == 1 and CUSTOMER not in pseudonyms  # one person, yet nobody
    other = server.decide({**facts, "customer": CUSTOMER + "y"}).json()
    (others,) = [
        r["facts"]["customer"]
        for r in server.get("/v1/reviews?limit=200")["reviews"]
        if r["decision_id"] == other["id"]
    ]
    assert others not in pseudonyms
    trace = json.dumps(server.get(first["trace"]))
    files = {path: path.read_bytes() for path in server.home.rglob("*") if path.is_file()}
    assert any(next(iter(pseudonyms)).encode() in content for content in files.values())
    for secret in (MAIL, CARD, CARD.replace(" ", ""), CUSTOMER):
        assert secret not in trace
        assert secret not in server.log.read_text()
        assert [path.name for path, content in files.items() if secret.encode() in content] == []


def test_a_stop_ends_it_well(own_home: Path, tmp_path: Path) -> None:
    """Also while the models are still being loaded."""
    log = tmp_path / "stderr"
    key = told(own_home, "key", "create", "--scope", "read")["key"]
    with serving(own_home, log) as (address, process):
        headers = {"Authorization": f"Bearer {key}"}
        alive = httpx.get(f"{address}/healthz", headers=headers, timeout=60)
        assert alive.json() == {"alive": True}
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert _stdout(process).read() == ""  # the address was all it had to say
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/healthz", headers=headers, timeout=5)
    assert "Traceback" not in log.read_text()
