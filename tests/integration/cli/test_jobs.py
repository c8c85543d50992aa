"""`rung jobs` on a real ledger: what it prints, what it changes, and what it refuses."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.job_views import in_words, progress_in_words
from cli.main import app
from core.clock import SystemClock
from core.jobs import JobLedger, Schedules
from core.settings import Settings
from core.store import Store
from tests.schemas import faults

LEASE = timedelta(seconds=60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    settings = Settings.from_environment({"RUNG_HOME": str(home)})
    opened = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    yield opened
    opened.close()


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


def run(home: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["jobs", *words], env={"RUNG_HOME": str(home)})
    assert result.exit_code == code, result.output
    return result.stdout


def told(home: Path, *words: str, code: int = 0) -> Any:
    content = json.loads(run(home, *words, "--json", code=code))
    assert faults("error" if code == 2 else f"jobs-{words[0]}", content) == []
    return content


def enqueued(ledger: JobLedger, content: str = "hash", **options: Any) -> str:
    payload = {"of": content, "documents": []}
    return ledger.enqueue("default", "embed_documents", payload, content, **options)


def test_a_job_says_which_embedder_it_waits_for(home: Path, ledger: JobLedger) -> None:
    job_id = enqueued(ledger, needs="minilm/384")
    assert told(home, "show", job_id)["needs"] == "minilm/384"
    assert "(for a worker that embeds by minilm/384)" in run(home, "list")
    assert "needs        minilm/384" in run(home, "show", job_id)


def test_list_show_and_what_a_person_reads(home: Path, ledger: JobLedger) -> None:
    first, second = enqueued(ledger, "a"), enqueued(ledger, "b")
    job = ledger.claim("default", first, LEASE)
    assert job is not None
    time.sleep(0.05)
    ledger.renew(job, LEASE, (30, 120))
    listed = told(home, "list")
    assert {one["id"] for one in listed["jobs"]} == {first, second}
    assert listed["counts"] == {"queued": 1, "running": 1, "done": 0, "failed": 0, "cancelled": 0}
    assert [one["id"] for one in told(home, "list", "--state", "queued")["jobs"]] == [second]
    assert told(home, "list", "--kind", "other")["jobs"] == []
    assert len(told(home, "list", "--limit", "1")["jobs"]) == 1
    text = run(home, "list")
    assert "[#####---------------] 30 of 120, about " in text
    assert text.splitlines()[-1] == "1 queued, 1 running, 0 done, 0 failed, 0 cancelled"
    shown = told(home, "show", first)
    assert (shown["payload"], shown["progress"], shown["total"]) == (
        {"of": "a", "documents": []},
        30,
        120,
    )
    assert shown["seconds_left"] > 0
    ledger.finish(job, result={"documents": 120})
    assert told(home, "show", first[:23])["result"] == {"documents": 120}
    assert "documents          120" in run(home, "show", first)


def test_cancel_retry_and_what_cannot_be(home: Path, ledger: JobLedger) -> None:
    job_id = enqueued(ledger)
    refused = told(home, "retry", job_id, code=2)
    assert refused["error"]["code"] == "RUNG-JOB-STATE"
    assert told(home, "cancel", job_id[:20])["state"] == "cancelled"
    assert told(home, "cancel", job_id, code=2)["error"]["code"] == "RUNG-JOB-STATE"
    assert told(home, "retry", job_id)["state"] == "queued"
    for words in (("show", "0" * 24), ("cancel", "no id"), ("retry", job_id, "--tenant", "other")):
        assert told(home, *words, code=2)["error"]["code"] == "RUNG-JOB-UNKNOWN"


def test_digits_that_several_jobs_begin_with_are_refused(home: Path, ledger: JobLedger) -> None:
    ids = [enqueued(ledger, str(number)) for number in range(17)]
    digits = [job_id[0] for job_id in ids]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    assert told(home, "show", twice, code=2)["error"]["code"] == "RUNG-JOB-AMBIGUOUS"


def test_schedules_and_an_end_to_one(home: Path, store: Store) -> None:
    assert told(home, "schedules") == {"schedules": []}
    assert run(home, "schedules") == "no schedules\n"
    Schedules(store).put("default", "nightly", "score", {"of": 1}, timedelta(hours=24))
    (one,) = told(home, "schedules")["schedules"]
    assert (one["name"], one["every_seconds"]) == ("nightly", 86400)
    assert "nightly  score  every 24 hours, next at " in run(home, "schedules")
    assert told(home, "unschedule", "nightly") == {"removed": "nightly"}
    gone = told(home, "unschedule", "nightly", code=2)
    assert gone["error"]["code"] == "RUNG-SCHEDULE-UNKNOWN"


@pytest.mark.parametrize("fails", [False, True])
def test_watch_ends_with_the_last_open_job(home: Path, ledger: JobLedger, fails: bool) -> None:
    ledger.cancel("default", enqueued(ledger, "of before"))
    for content in "ab":
        enqueued(ledger, content)

    def work() -> None:
        while job := ledger.claim_next(["embed_documents"], LEASE):
            time.sleep(0.2)
            if fails and job.content_hash == "b":
                ledger.fail(job, "bad data", retry=False)
            else:
                ledger.finish(job)

    worker = threading.Thread(target=work)
    worker.start()
    watched = told(home, "watch", code=1 if fails else 0)
    worker.join()
    assert watched == {"ended": {"done": 2 - fails, "failed": int(fails), "cancelled": 0}}
    assert told(home, "watch") == {"ended": {"done": 0, "failed": 0, "cancelled": 0}}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (59, "59 seconds"),
        (89, "89 seconds"),
        (95, "2 minutes"),
        (5400, "90 minutes"),
        (90_000, "25 hours"),
        (200_000, "2 days"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_progress_in_words_never_overflows() -> None:
    running = {"progress": 7, "total": 5, "seconds_left": 0.0}
    assert progress_in_words(running) == f"[{'#' * 20}] 7 of 5, about 1 second left"
    assert progress_in_words({**running, "total": None}) == "7 done"
    assert progress_in_words({**running, "progress": 0, "total": None}) == "begun"
