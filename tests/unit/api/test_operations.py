"""Probes, counters, the description, overload, and faults that tell no secrets."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import func, select

from core.errors import Overloaded, Unavailable
from core.store.tables import idempotency
from tests.fakes.http_face import Face

DECIDE = "/v1/decisions/support"
ARRIVES = {"facts": {"message": "when does it arrive?"}}


def test_probes(face: Face) -> None:
    assert face.send("GET", "/healthz").json() == {"alive": True}
    assert face.send("GET", "/readyz").json() == {
        "ready": True,
        "store": True,
        "ladders": True,
        "newest": True,
    }
    face.service.loaded = False
    response = face.send("GET", "/readyz")
    assert response.status_code == 503
    assert response.json() == {
        "ready": False,
        "store": True,
        "ladders": False,
        "newest": False,
    }
    assert face.send("GET", "/healthz").status_code == 200


def test_the_lifespan_loads_the_ladders(face: Face) -> None:
    face.service.loaded = False

    async def living() -> None:
        async with face.app.router.lifespan_context(face.app):
            while not face.service.loaded:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(living(), 10))


def test_what_is_over_long_ago_is_forgotten_where_no_worker_runs(face: Face) -> None:
    face.store.claim_idempotency("acme", "key", "hash")

    def kept() -> int:
        with face.store.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(idempotency)) or 0)

    async def living() -> None:
        async with face.app.router.lifespan_context(face.app):
            while kept():
                await asyncio.sleep(0.001)

    assert kept() == 1
    face.clock.moment += timedelta(days=91)
    asyncio.run(asyncio.wait_for(living(), 10))


def test_a_store_that_is_away_ends_no_server(
    face: Face, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    face.store.close()
    for file in tmp_path.glob("rung.db*"):
        file.unlink()
    (tmp_path / "rung.db").mkdir()

    async def living() -> None:
        async with face.app.router.lifespan_context(face.app):
            while "could not be forgotten: core.errors.Unavailable" not in caplog.text:
                await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(living(), 10))


def test_what_is_counted_is_what_happened_and_no_label_can_be_invented(face: Face) -> None:
    face.decide()
    face.decide("it was stolen")
    face.decide(key="nobody")
    for path in ("/a", "/b", "/c"):
        face.send("BREW", path)
    text = face.send("GET", "/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    requests = {
        (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
        for s in families["rung_http_requests"].samples
        if s.name.endswith("_total")
    }
    assert requests == {
        ("POST", "/v1/decisions/{name}", "200"): 2,
        ("POST", "/v1/decisions/{name}", "401"): 1,
        ("other", "unmatched", "404"): 3,
    }
    decided = {
        s.labels["rung"]: s.value
        for s in families["rung_decisions"].samples
        if s.name.endswith("_total")
    }
    assert decided == {"retrieval": 1, "rules": 1}
    assert "acme" not in text and "support" not in text


def test_two_apps_do_not_add_up(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = Face(tmp_path / "a"), Face(tmp_path / "b")
    first.decide()
    assert first.counted("rung_decisions_total", rung="retrieval") == 1
    assert second.counted("rung_decisions_total", rung="retrieval") == 0


def test_the_description_has_every_route_body_and_an_example(face: Face) -> None:
    described = face.send("GET", "/openapi.json").json()
    paths = {route.path_format for route in face.app.routes} - {"/openapi.json"}  # type: ignore[attr-defined]
    assert set(described["paths"]) == paths
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert operation["security"], path
            assert operation["description"], path
            many = method == "delete" and path.endswith("/documents")
            of_a_job = path.startswith("/v1/jobs/")  # its path says all
            takes = many or method == "put" or (method == "post" and not of_a_job)
            assert ("requestBody" in operation) == takes, path
    schemas = described["components"]["schemas"]
    assert schemas["DecisionBody"]["examples"]
    body = described["paths"]["/v1/decisions/{name}"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"]["properties"]["facts"]["examples"]


def test_the_examples_are_true(face: Face) -> None:
    """What the description shows as an answer has the shape of a real one."""
    described = face.send("GET", "/openapi.json").json()
    (example,) = described["components"]["schemas"]["DecisionBody"]["examples"]
    assert set(example) == set(face.decide().json())


def test_every_answer_is_data_for_one_caller(face: Face) -> None:
    for response in (face.decide(), face.decide(key="x"), face.send("GET", "/nope")):
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_overload_is_shed_before_the_body_is_read_and_probes_still_answer(tmp_path: Path) -> None:
    face = Face(tmp_path, max_concurrency=3)
    read = False

    async def unread() -> Any:
        nonlocal read
        read = True
        yield b"{}"

    async def talk(client: httpx.AsyncClient) -> tuple[list[Any], Any, Any, Any]:
        face.service.gate.clear()
        held = [asyncio.create_task(client.post(DECIDE, json=ARRIVES)) for _ in range(3)]
        while face.service.begun < 3:
            await asyncio.sleep(0.001)
        headers = {"Content-Type": "application/json"}
        shed = await client.post(DECIDE, content=unread(), headers=headers)
        probe = await client.get("/healthz")
        face.service.gate.set()
        answered = [await task for task in held]
        return answered, shed, probe, await client.post(DECIDE, json=ARRIVES)

    answered, shed, probe, after = face.run(talk)
    assert [r.status_code for r in answered] == [200] * 3
    assert (shed.status_code, shed.json()["error"]["code"]) == (503, "RUNG-SERVER-OVERLOADED")
    assert int(shed.headers["Retry-After"]) >= 1
    assert not read
    assert (probe.status_code, after.status_code) == (200, 200)
    assert face.counted("rung_http_shed_total") == 1
    assert face.counted("rung_http_in_flight") == 0


def test_what_a_full_queue_of_models_refuses_is_shed_too(face: Face) -> None:
    face.service.fault = Overloaded("RUNG-SERVER-OVERLOADED", "full", way_out="Wait.")
    assert [face.decide().status_code for _ in range(2)] == [503] * 2
    assert face.counted("rung_http_shed_total") == 2
    face.service.fault = Unavailable("RUNG-STORE-UNAVAILABLE", "away", way_out="Wait.")
    assert face.decide().status_code == 503
    assert face.counted("rung_http_shed_total") == 2
    assert face.counted("rung_http_faults_total") == 0


def test_a_slot_is_free_again_however_a_request_ends(tmp_path: Path) -> None:
    face = Face(tmp_path, max_concurrency=1)
    face.service.fault = RuntimeError("boom")
    assert [face.decide().status_code for _ in range(3)] == [500] * 3
    assert face.decide(key="nobody").status_code == 401
    face.service.fault = None
    assert face.decide().status_code == 200


def test_a_fault_has_an_id_and_neither_answer_nor_log_quotes_anything(
    face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    face.service.fault = ValueError("IBAN DE00 1234")
    with caplog.at_level(logging.DEBUG):
        response = face.decide("my secret IBAN", headers={"Idempotency-Key": "k"})
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (500, "RUNG-SERVER-FAULT")
    (record,) = [r for r in caplog.records if r.name == "rung.api"]
    fault = record.getMessage().split()[1].rstrip(":")
    assert fault in error["message"]
    assert "builtins.ValueError" in record.getMessage() and "service.py" in record.getMessage()
    everything = caplog.text + response.text
    for secret in ("IBAN", "DE00", face.key, "Traceback"):
        assert secret not in everything
    assert face.counted("rung_http_faults_total") == 1
    # The key is free again, so the caller may try once more.
    face.service.fault = None
    assert face.decide("my secret IBAN", headers={"Idempotency-Key": "k"}).status_code == 200


def test_a_closed_store_is_unavailable_and_not_a_fault(face: Face, tmp_path: Path) -> None:
    face.store.close()
    for file in tmp_path.glob("rung.db*"):
        file.unlink()
    (tmp_path / "rung.db").mkdir()
    response = face.decide()
    assert (response.status_code, response.json()["error"]["code"]) == (
        503,
        "RUNG-STORE-UNAVAILABLE",
    )
    assert response.headers["Retry-After"]
