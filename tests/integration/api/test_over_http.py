"""The server as a process: real sockets, bodies larger than it takes, overload and a clean stop."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from api.serve import serve
from core.clock import SystemClock
from core.errors import InvalidSettings
from core.identity.keys import SCOPES
from core.store import Store
from tests.fakes.service import SECRET, FakeService, settings_for

ROOT = Path(__file__).parents[3]
PATH = "/v1/decisions/support"


@dataclass(frozen=True, kw_only=True)
class Server:
    url: str
    key: str
    process: subprocess.Popen[str]

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def raw(self, head: str, body: bytes = b"") -> tuple[int, bytes]:
        """What the server answers to exactly these bytes; the key is added to the head."""
        address = urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as wire:
            lines = f"{head}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n\r\n"
            wire.sendall(lines.encode() + body)
            answer = wire.makefile("rb")
            status = int(answer.readline().split()[1])
            length = 0
            while (line := answer.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            return status, answer.read(length)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    url = settings_for(tmp_path).database_url
    store = Store.open(url, SystemClock(), secret=SECRET)
    key = store.create_key("acme", "all", SCOPES)
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.http_server", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    yield Server(url=address, key=key, process=process)
    process.terminate()
    process.wait(30)
    process.stdout.close()


def test_the_whole_way_of_a_decision(server: Server) -> None:
    with server.client() as client:
        assert client.get("/healthz").json() == {"alive": True}
        assert client.get("/readyz").status_code == 200
        headers = {"Idempotency-Key": "one"}
        body = {"facts": {"message": "a person, please"}}
        first = client.post(PATH, json=body, headers=headers)
        again = client.post(PATH, json=body, headers=headers)
        assert first.json()["rung"] == "person"
        assert first.content == again.content
        assert again.headers["Idempotency-Replayed"] == "true"
        told = {
            "decision_id": first.json()["id"],
            "kpi": 1,
            "source": "agent",
            "happened_at": datetime.now(UTC).isoformat(),
        }
        assert client.post(f"{PATH}/feedback", json=told).status_code == 201
        (review,) = client.get("/v1/reviews").json()["reviews"]
        path = f"/v1/reviews/{review['id']}"
        assert client.post(f"{path}/claim").status_code == 200
        assert client.post(f"{path}/resolve", json={"truth": "block"}).status_code == 200
        trace = client.get(first.json()["trace"]).json()
        assert [one["truth"] for one in trace["feedback"]] == [None, "block"]
        assert 'rung_decisions_total{rung="person"} 1.0' in client.get("/metrics").text


def test_bad_input_over_the_wire(server: Server) -> None:
    ten_megabytes = json.dumps({"facts": {"message": "a" * 10_000_000}}).encode()
    deep = b'{"facts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    kind = {"Content-Type": "application/json"}
    with server.client() as client:
        tries = [
            (client.post(PATH, content=ten_megabytes, headers=kind), 413, "RUNG-BODY-SIZE"),
            (client.post(PATH, content=iter([ten_megabytes]), headers=kind), 413, "RUNG-BODY-SIZE"),
            (client.post(PATH, content=deep, headers=kind), 422, "RUNG-JSON-SYNTAX"),
            (client.post(PATH, content=b"{}"), 415, "RUNG-BODY-TYPE"),
            (client.post("/v1/decisions/nope", json={"facts": {}}), 404, "RUNG-DECISION-UNKNOWN"),
            (client.get("/healthz", headers={"Host": "evil"}), 400, "RUNG-HOST-UNKNOWN"),
            (client.get("/healthz", headers={"Authorization": "x"}), 401, "RUNG-KEY-INVALID"),
            (client.delete(PATH), 405, "RUNG-METHOD-REFUSED"),
        ]
        for response, status, code in tries:
            assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert client.post(PATH, json={"facts": {"message": "hi"}}).status_code == 200


def test_an_endless_chunked_body_is_answered_while_it_still_comes(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = f"POST {PATH} HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
    status, body = server.raw(head, chunk * 20)
    assert (status, json.loads(body)["error"]["code"]) == (413, "RUNG-BODY-SIZE")


def test_a_body_cut_short_does_no_harm(server: Server) -> None:
    address = urlsplit(server.url)
    for _ in range(8):  # more than the server admits at once
        with socket.create_connection((address.hostname, address.port), timeout=30) as wire:
            head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            key = f"Authorization: Bearer {server.key}\r\nContent-Length: 100\r\n\r\n"
            wire.sendall((head + key).encode() + b'{"facts')
    with server.client() as client:
        for _ in range(50):
            response = client.post(PATH, json={"facts": {"message": "hi"}})
            if response.status_code == 200:
                break
        assert response.status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/decisions/%00", "/v1/decisions/%ff", "/%", "//", "/v1/../metrics", "*", "/\u00e9"]
)
def test_odd_paths(server: Server, path: str) -> None:
    status, _ = server.raw(f"GET {path} HTTP/1.1")
    assert 400 <= status < 500


def test_overload_sheds_and_recovers(server: Server) -> None:
    slow = {"facts": {"message": "slow"}}

    def post(_: int) -> httpx.Response:
        with server.client() as client:
            return client.post(PATH, json=slow)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, range(12)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503} and statuses.count(200) >= 4
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["error"]["code"] == "RUNG-SERVER-OVERLOADED"
            assert int(answer.headers["Retry-After"]) >= 1
    with server.client() as client:
        assert client.post(PATH, json={"facts": {"message": "hi"}}).status_code == 200


def test_a_stop_lets_a_decision_under_way_end(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool, server.client() as client:
        under_way = pool.submit(client.post, PATH, json={"facts": {"message": "slow"}})
        with server.client() as other:
            while "rung_http_in_flight 1.0" not in other.get("/metrics").text:
                pass
        server.process.send_signal(signal.SIGTERM)
        assert under_way.result(30).status_code == 200
    assert server.process.wait(30) == 0
    assert server.process.stdout is not None
    assert server.process.stdout.read() == "stopped\n"  # serve returned to its caller


def test_an_address_that_cannot_be_listened_on_is_told_clearly(
    server: Server, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path)
    store = Store.open(settings.database_url, SystemClock(), secret=SECRET)
    service = FakeService(store, SystemClock())
    taken = urlsplit(server.url).port
    for host, port in (("127.0.0.1", taken), ("127.0.0.1", 70_000), ("a\0b", 0), ("..", 0)):
        with pytest.raises(InvalidSettings) as caught:
            serve(service, settings, host, port)
        assert caught.value.code == "RUNG-SERVER-ADDRESS"
    store.close()
