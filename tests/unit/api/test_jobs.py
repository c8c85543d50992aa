"""Jobs over HTTP: what they tell, a second try, calling off, and nothing of another tenant's."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from core.jobs import JobLedger, Schedules
from tests.fakes.http_face import Face
from tests.fakes.service import NOW

LEASE = timedelta(seconds=60)


@pytest.fixture
def ledger(face: Face) -> JobLedger:
    return JobLedger(face.store)


def enqueued(ledger: JobLedger, content: str = "hash", tenant: str = "acme") -> str:
    return ledger.enqueue(
        tenant, "embed_documents", {"secret": "payload-4711", "documents": []}, content
    )


def refusal(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_a_running_job_tells_how_far_it_is_and_how_long_it_will_take(
    face: Face, ledger: JobLedger
) -> None:
    job_id = enqueued(ledger)
    job = ledger.claim("acme", job_id, LEASE)
    assert job is not None
    face.clock.moment = NOW + timedelta(seconds=30)
    ledger.renew(job, LEASE, (25, 100))
    told = face.send("GET", f"/v1/jobs/{job_id}").json()
    assert (told["state"], told["progress"], told["total"]) == ("running", 25, 100)
    assert told["seconds_left"] == 90  # 25 took 30 s, and 75 are left
    assert (told["tries"], told["reason"], told["result"]) == (1, None, None)
    ledger.finish(job, result={"documents": 100})
    told = face.send("GET", f"/v1/jobs/{job_id}").json()
    assert (told["state"], told["seconds_left"]) == ("done", None)
    assert told["result"] == {"documents": 100}


def test_no_body_shows_a_payload(face: Face, ledger: JobLedger) -> None:
    job_id = enqueued(ledger)
    Schedules(face.store).put(
        "acme", "nightly", "score", {"secret": "payload-4711"}, timedelta(hours=24)
    )
    for path in ("/v1/jobs", f"/v1/jobs/{job_id}", "/v1/jobs/schedules"):
        response = face.send("GET", path)
        assert response.status_code == 200
        assert "payload" not in response.text


def test_pages_newest_first_and_counts_by_state(face: Face, ledger: JobLedger) -> None:
    ids = []
    for number in range(5):
        face.clock.moment = NOW + timedelta(minutes=number)
        ids.append(enqueued(ledger, f"content {number}"))
    ledger.cancel("acme", ids[0])
    ledger.enqueue("acme", "score", {}, "of another kind")

    def listed(**query: Any) -> list[str]:
        answer = face.send("GET", "/v1/jobs", params=query).json()
        assert answer["counts"] == {
            "queued": 5,
            "running": 0,
            "done": 0,
            "failed": 0,
            "cancelled": 1,
        }
        return [job["id"] for job in answer["jobs"]]

    newest = ids[::-1]
    kind = "embed_documents"
    assert listed(kind=kind) == newest
    first = listed(kind=kind, limit=2)
    assert first + listed(kind=kind, after=first[-1]) == newest
    assert listed(state="cancelled") == [ids[0]]
    assert set(listed(state="queued", kind=kind)) == set(ids[1:])


def test_since_when_the_oldest_queued_job_waits(face: Face, ledger: JobLedger) -> None:
    def oldest() -> Any:
        return face.send("GET", "/v1/jobs", params={"kind": "score"}).json()["oldest_due_at"]

    assert oldest() is None
    enqueued(ledger, tenant="other")
    assert ledger.claim("acme", enqueued(ledger, "running"), LEASE)
    face.clock.moment = NOW + timedelta(minutes=5)
    assert oldest() is None
    enqueued(ledger)
    face.clock.moment = NOW + timedelta(minutes=9)
    enqueued(ledger, "later")
    assert datetime.fromisoformat(oldest()) == NOW + timedelta(minutes=5)


def test_cancelled_and_tried_again(face: Face, ledger: JobLedger) -> None:
    job_id = enqueued(ledger)
    job = ledger.claim("acme", job_id, LEASE)
    assert job is not None
    assert refusal(face.send("POST", f"/v1/jobs/{job_id}/retry")) == (409, "RUNG-JOB-STATE")
    assert face.send("POST", f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
    assert refusal(face.send("POST", f"/v1/jobs/{job_id}/cancel")) == (409, "RUNG-JOB-STATE")
    again = face.send("POST", f"/v1/jobs/{job_id}/retry").json()
    assert (again["state"], again["tries"], again["finished_at"]) == ("queued", 0, None)


def test_a_change_with_a_key_is_replayed(face: Face, ledger: JobLedger) -> None:
    job_id = enqueued(ledger)
    headers = {"Idempotency-Key": "once"}
    first = face.send("POST", f"/v1/jobs/{job_id}/cancel", headers=headers)
    again = face.send("POST", f"/v1/jobs/{job_id}/cancel", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    other = face.send("POST", f"/v1/jobs/{job_id}/retry", headers=headers)
    assert other.status_code == 422


def test_schedules_are_listed(face: Face) -> None:
    Schedules(face.store).put("acme", "nightly", "score", {}, timedelta(hours=24))
    answer = face.send("GET", "/v1/jobs/schedules").json()
    (told,) = answer["schedules"]
    assert (told["name"], told["kind"], told["every_seconds"]) == ("nightly", "score", 86400)


@pytest.mark.parametrize(
    "query",
    [{"state": "open"}, {"limit": 0}, {"limit": 201}, {"kind": ""}, {"after": "x" * 101}],
)
def test_a_parameter_that_is_none_is_refused(face: Face, query: dict[str, Any]) -> None:
    assert refusal(face.send("GET", "/v1/jobs", params=query)) == (422, "RUNG-REQUEST-INVALID")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/{id}"),
        ("GET", "/v1/jobs?after={id}"),
        ("POST", "/v1/jobs/{id}/retry"),
        ("POST", "/v1/jobs/{id}/cancel"),
    ],
)
def test_another_tenants_job_is_unknown(
    face: Face, ledger: JobLedger, method: str, path: str
) -> None:
    job_id = enqueued(ledger, tenant="other")
    for id in (job_id, "nothing"):
        response = face.send(method, path.format(id=id))
        assert refusal(response) == (404, "RUNG-JOB-UNKNOWN")
    job = ledger.job("other", job_id)
    assert job is not None and job.state == "queued"
