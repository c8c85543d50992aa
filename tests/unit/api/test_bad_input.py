"""Whatever is sent, the answer is a 4xx in the one shape, with a stable code and the way out."""

import asyncio
import dataclasses
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.http_face import Face

DECIDE = "/v1/decisions/support"
JSON = {"Content-Type": "application/json"}
GOOD = b'{"facts": {"message": "when does it arrive?"}}'
DEEP = b'{"facts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def refused(response: Any, status: int, code: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text[:300]
    assert set(error) == {"code", "message", "way_out", "line"}
    assert re.fullmatch(r"RUNG-[A-Z]+-[A-Z]+", error["code"])
    assert error["message"] and error["way_out"]
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "RUNG-JSON-SYNTAX"),
        (b"\xff\xfe{\x00}\x00", "RUNG-JSON-SYNTAX"),
        (GOOD.decode().encode("utf-16"), "RUNG-JSON-SYNTAX"),
        (b"\xef\xbb\xbf" + GOOD, "RUNG-JSON-SYNTAX"),
        (GOOD + b"x", "RUNG-JSON-SYNTAX"),
        (GOOD + GOOD, "RUNG-JSON-SYNTAX"),
        (b"\0", "RUNG-JSON-SYNTAX"),
        (b'{"facts": {"message": "a\0b"}}', "RUNG-JSON-SYNTAX"),
        (rb'{"facts": {"message": "a\u0000b"}}', "RUNG-FACTS-VALUE"),
        (rb'{"facts": {"message": "\ud800"}}', "RUNG-JSON-SYNTAX"),
        (rb'{"\udfff": 1}', "RUNG-JSON-SYNTAX"),
        (rb'{"a\u0000b": 1}', "RUNG-REQUEST-INVALID"),
        (b'{"facts": {"amount": NaN}}', "RUNG-JSON-SYNTAX"),
        (b'{"facts": {"message": "a", "amount": -Infinity}}', "RUNG-JSON-SYNTAX"),
        (b'{"facts": {"message": "a", "amount": 1e999}}', "RUNG-JSON-SYNTAX"),
        (b'{"facts": {"message": "a", "amount": 1' + b"0" * 400 + b"}}", "RUNG-FACTS-VALUE"),
        (b'{"facts": {"message": "a", "amount": 1' + b"0" * 9000 + b"}}", "RUNG-JSON-SYNTAX"),
        (b'{"facts": {}, "facts": {}}', "RUNG-JSON-SYNTAX"),
        (DEEP, "RUNG-JSON-SYNTAX"),
        (DEEP[:100_000], "RUNG-JSON-SYNTAX"),
        (b'{"a":' * 100_000, "RUNG-JSON-SYNTAX"),
        (b'{"facts": ' + b"[" * 40 + b"]" * 40 + b"}", "RUNG-JSON-SYNTAX"),
        (b"", "RUNG-REQUEST-INVALID"),
        (b"{}", "RUNG-REQUEST-INVALID"),
        (b"null", "RUNG-REQUEST-INVALID"),
        (b"[]", "RUNG-REQUEST-INVALID"),
        (b'"facts"', "RUNG-REQUEST-INVALID"),
        (b'{"facts": {"message": "a"}, "extra": 1}', "RUNG-REQUEST-INVALID"),
        (b'{"facts": null}', "RUNG-FACTS-TYPE"),
        (b'{"facts": []}', "RUNG-FACTS-TYPE"),
        (b'{"facts": 3}', "RUNG-FACTS-TYPE"),
        (b'{"facts": {}}', "RUNG-FACTS-NULL"),
        (b'{"facts": {"message": null}}', "RUNG-FACTS-NULL"),
        (b'{"facts": {"message": ""}}', "RUNG-FACTS-VALUE"),
        (b'{"facts": {"message": 3}}', "RUNG-FACTS-VALUE"),
        (b'{"facts": {"message": "a", "amount": true}}', "RUNG-FACTS-VALUE"),
        (b'{"facts": {"message": "a", "amount": -1}}', "RUNG-FACTS-VALUE"),
        (b'{"facts": {"message": "a", "amonut": 1}}', "RUNG-FACTS-UNKNOWN"),
    ],
)
def test_bodies(face: Face, body: bytes, code: str) -> None:
    refused(face.send("POST", DECIDE, content=body, headers=JSON), 422, code)
    assert face.service.begun == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_bodies_of_another_type(face: Face, headers: dict[str, str]) -> None:
    refused(face.send("POST", DECIDE, content=GOOD, headers=headers), 415, "RUNG-BODY-TYPE")


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'],
)
def test_plain_json_is_taken(face: Face, kind: str) -> None:
    assert face.send("POST", DECIDE, content=GOOD, headers={"Content-Type": kind}).is_success


def test_a_body_above_the_cap_is_refused_by_what_it_declares(face: Face) -> None:
    big = b" " * face.settings.max_body_bytes + GOOD
    refused(face.send("POST", DECIDE, content=big, headers=JSON), 413, "RUNG-BODY-SIZE")


def test_a_body_above_the_cap_is_refused_while_it_streams(face: Face) -> None:
    sent = 0

    async def undeclared() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * face.settings.max_body_bytes:
            sent += 65_536
            yield b" " * 65_536

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(DECIDE, content=undeclared(), headers=JSON)

    refused(face.run(talk), 413, "RUNG-BODY-SIZE")
    assert sent <= face.settings.max_body_bytes + 2 * 65_536


def test_a_body_of_exactly_the_cap_is_taken(face: Face) -> None:
    exact = b" " * (face.settings.max_body_bytes - len(GOOD)) + GOOD
    assert face.send("POST", DECIDE, content=exact, headers=JSON).status_code == 200


def test_a_body_that_never_ends_is_given_up(face: Face) -> None:
    face.app.state.context = dataclasses.replace(face.app.state.context, body_seconds=0.05)

    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(DECIDE, content=stalling(), headers=JSON)

    response = face.run(talk)
    refused(response, 408, "RUNG-BODY-SLOW")
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "name", ["nope", "Support", "support%00", "%F0%9F%92%A9", "..", "a" * 3000, "%2e%2e%2f", "%ff"]
)
def test_an_unknown_decision(face: Face, name: str) -> None:
    # httpx would normalise ".." away, which makes it another path.
    code = "RUNG-ROUTE-UNKNOWN" if name in ("..", "%2e%2e%2f") else "RUNG-DECISION-UNKNOWN"
    response = face.send("POST", f"/v1/decisions/{name}", content=GOOD, headers=JSON)
    assert response.status_code in (404, 405)
    if response.status_code == 404:
        refused(response, 404, code)


@pytest.mark.parametrize("id", ["nope", "%00", "%ff", "a" * 3000, "%ed%a0%80", "'; drop table x"])
@pytest.mark.parametrize("path", ["/v1/decisions/{}", "/v1/reviews/{}"])
def test_an_unknown_id(face: Face, path: str, id: str) -> None:
    response = face.send("GET", path.format(id))
    code = response.json()["error"]["code"]
    assert code in ("RUNG-DECISION-ID", "RUNG-REVIEW-ID", "RUNG-TEXT-INVALID")
    refused(response, 422 if code == "RUNG-TEXT-INVALID" else 404, code)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", f"limit={'9' * 5000}", "state=lost", "after=", "after=%00"],
)
def test_a_query_that_the_route_does_not_admit(face: Face, query: str) -> None:
    refused(face.send("GET", f"/v1/reviews?{query}"), 422, "RUNG-REQUEST-INVALID")


@pytest.mark.parametrize("key", ["", " ", "a b", "\u00e9", "x" * 201, "a\tb"])
def test_a_malformed_idempotency_key(face: Face, key: str) -> None:
    headers = {**JSON, "Idempotency-Key": key.encode("latin-1")}
    refused(face.send("POST", DECIDE, content=GOOD, headers=headers), 422, "RUNG-REQUEST-INVALID")


def test_paths_and_methods_that_do_not_exist(face: Face) -> None:
    for path in ("/", "/docs", "/redoc", "/v1", "/v1/decisions/", "/v1/reviews/x/lose"):
        refused(face.send("GET", path), 404, "RUNG-ROUTE-UNKNOWN")
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        response = face.send(method, DECIDE)
        refused(response, 405, "RUNG-METHOD-REFUSED")
        assert response.headers["Allow"]


@pytest.mark.parametrize("host", ["evil.example", "", "testserver.evil.example", "testserver:x"])
def test_a_foreign_host(face: Face, host: str) -> None:
    refused(face.send("GET", "/healthz", headers={"Host": host}), 400, "RUNG-HOST-UNKNOWN")


@pytest.mark.parametrize("host", ["testserver", "TESTSERVER", "testserver:8000"])
def test_its_own_host(face: Face, host: str) -> None:
    assert face.send("GET", "/healthz", headers={"Host": host}).status_code == 200


def test_a_message_does_not_repeat_a_value_and_cuts_a_long_name(face: Face) -> None:
    body = {"facts": {"message": "hi"}, "x\ud83d" + "y" * 500: "secret-value"}
    content = json.dumps(body).replace("\\ud83d", "\\u00e9").encode()
    text = face.send("POST", DECIDE, content=content, headers=JSON).text
    assert "secret-value" not in text
    assert len(text) < 500


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    folder: Path = tmp_path_factory.mktemp("face")
    face = Face(folder)
    yield face
    face.store.close()


KEYS = st.sampled_from(
    ["facts", "message", "truth", "decision_id", "document", "kpi", "who", "happened_at", "until"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59-12:00"]
    )
    | st.sampled_from(["answer", "support", "person"]),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), part),
    max_leaves=8,
)
BODIES = (
    st.binary(max_size=200)
    | st.dictionaries(KEYS, VALUES, max_size=6).map(lambda v: json.dumps(v).encode())
    | VALUES.map(lambda v: json.dumps(v).encode())
)
PATHS = st.sampled_from(
    [
        DECIDE,
        DECIDE + "/feedback",
        "/v1/reviews/x/claim",
        "/v1/reviews/x/resolve",
        "/v1/reviews/x/snooze",
        "/v1/decisions/x",
    ]
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=PATHS, body=BODIES, key=st.none() | st.text(st.characters(max_codepoint=255)))
def test_no_body_makes_a_fault(shared: Face, path: str, body: bytes, key: str | None) -> None:
    headers: dict[str, Any] = dict(JSON)
    if key is not None:
        clean = key.replace("\r", "").replace("\n", "").strip()
        headers["Idempotency-Key"] = clean.encode("latin-1")
    response = shared.send("POST", path, content=body, headers=headers)
    assert response.status_code < 500, response.text
    if not response.is_success:
        assert re.fullmatch(r"RUNG-[A-Z]+-[A-Z]+", response.json()["error"]["code"])


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "BREW"]),
    path=st.binary(max_size=30),
    query=st.binary(max_size=30),
)
def test_no_path_makes_a_fault(shared: Face, method: str, path: bytes, query: bytes) -> None:
    """Speaks ASGI itself: a client would clean the path."""
    statuses = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": "/v1/decisions/" + path.decode("utf-8", "replace"),
        "raw_path": b"/v1/decisions/" + path,
        "root_path": "",
        "query_string": query,
        "scheme": "http",
        "headers": [(b"host", b"testserver"), (b"authorization", f"Bearer {shared.key}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    asyncio.run(shared.app(scope, receive, send))
    assert len(statuses) == 1 and statuses[0] < 500
