"""`rung score` from end to end: a table, its scores, the API that reads them, a schedule."""

import asyncio
import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from api.app import create_app
from cli.bench_score import as_request, decided
from cli.home import open_home, open_runtime
from core.jobs import JobLedger, Schedules
from core.settings import Settings
from core.store import Store
from tests.fakes.clock import FixedClock
from tests.schemas import faults
from tests.terminal import ROOT, run, told
from workers.runner import JobRunner
from workers.score import ScoreTable

LOANS = ROOT / "examples" / "small_loans"
TENANT = "default"


@dataclass(frozen=True, kw_only=True)
class Loans:
    home: Path
    table: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"RUNG_HOME": str(self.home)}

    def rows(self) -> list[dict[str, Any]]:
        with self.table.open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Loans:
    folder = tmp_path_factory.mktemp("scored")
    table, events = folder / "loans.csv", folder / "payments.jsonl"
    words = ["--rows", "4000", "--seed", "1", "--out", str(table), "--events", str(events)]
    subprocess.run([sys.executable, str(LOANS / "simulate.py"), *words], check=True)
    home = folder / "home"
    told(home, "train", LOANS, "--data", table, "--events", f"customer={events}")
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:401]) + "\n")
    return Loans(home=home, table=table)


@pytest.fixture
def here(loans: Loans, monkeypatch: pytest.MonkeyPatch) -> Loans:
    monkeypatch.setenv("RUNG_HOME", str(loans.home))
    return loans


def request_of(row: dict[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in row.items() if value and name != "defaulted"}
    for name in ("amount", "income", "account_age_days"):
        if name in facts:
            facts[name] = int(facts[name]) if name == "account_age_days" else float(facts[name])
    return facts


def test_a_table_is_scored_and_read_over_http(here: Loans, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    shown = told(here.home, "score", LOANS, "--input", here.table, "--output", out)
    assert faults("score", shown) == []
    told_run = shown["run"]
    assert (told_run["rows"], told_run["scored"], told_run["ignored"]) == (400, 400, ["defaulted"])
    written = pq.read_table(out).to_pylist()
    assert [row["key"] for row in written] == [row["customer"] for row in here.rows()]

    async def over_http() -> None:
        with open_home() as home:
            runtime = open_runtime(home, keyless=True)
            for row, sent in zip(written[:60], here.rows(), strict=False):
                online = await decided(runtime, TENANT, "small_loans", as_request(request_of(sent)))
                assert {name: row[name] for name in online} == online
            key = home.store.create_key(TENANT, "all", ("decide", "read"))
            settings = home.settings.model_copy(update={"trusted_hosts": ("testserver",)})
            transport = httpx.ASGITransport(app=create_app(runtime, settings, home.clock))
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver", headers=headers
            ) as client:
                await _asked(client, written, here.rows())

    asyncio.run(over_http())


async def _asked(
    client: httpx.AsyncClient, written: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    last = {row["key"]: (row, request_of(sent)) for row, sent in zip(written, rows, strict=True)}
    some = list(last.items())[:20]
    asked = [{"key": key} for key, _ in some]
    path = "/v1/decisions/small_loans/scores"
    response = await client.post(path, json={"requests": asked, "order_by": "probability"})
    answers = response.json()["scores"]
    assert {one["source"] for one in answers} == {"cache"}
    for one in answers:
        row, _ = last[one["key"]]
        assert (one["probability"], one["outcomes"]) == (row["probability"], [row["outcome"]])
    chances = [one["probability"] for one in answers if one["probability"] is not None]
    assert chances == sorted(chances, reverse=True)
    # The same facts again are known; others are decided.
    key, (row, sent) = next(pair for pair in some if pair[1][0]["rung"] != "rules")
    larger = {**sent, "amount": sent["amount"] + 7}
    body = {"requests": [{"key": key, "facts": sent}, {"key": key, "facts": larger}]}
    both = (await client.post(path, json=body)).json()["scores"]
    assert sorted(one["source"] for one in both) == ["cache", "online"]
    decision = next(one["decision_id"] for one in both if one["source"] == "online")
    assert (await client.get(f"/v1/decisions/{decision}")).status_code == 200
    shown = await client.get(f"{path}/{key}")
    assert shown.json()["probability"] == row["probability"]


def test_refusals_leave_nothing_behind(here: Loans, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    out.write_bytes(b"mine")
    words = ["score", LOANS, "--input", here.table, "--output", out, "--json"]
    for more, code in (
        ([], "RUNG-OUTPUT-EXISTS"),
        (["--every", "1x"], "RUNG-SCHEDULE-INTERVAL"),
        (["--enqueue"], "RUNG-OUTPUT-EXISTS"),
        (["--output", here.table, "--enqueue", "--overwrite"], "RUNG-OUTPUT-EXISTS"),
        (["--tenant", "nobody", "--overwrite"], "RUNG-DECISION-UNKNOWN"),
    ):
        ended = run(here.home, *words, *more)
        refusal = json.loads(ended.stdout)
        assert faults("error", refusal) == [] and ended.returncode == 2
        assert refusal["error"]["code"] == code
    assert out.read_bytes() == b"mine"


def test_a_worker_scores_by_schedule(here: Loans, tmp_path: Path) -> None:
    out = tmp_path / "daily.csv"
    words = ["score", LOANS, "--input", here.table, "--output", out]
    made = told(here.home, *words, "--every", "24h")
    assert faults("score", made) == [] and made["schedule"]["every_s"] == 86_400
    settings = Settings.from_environment(here.environment)
    with open_home() as home:
        clock = FixedClock(home.clock.now() + timedelta(hours=1))
        store = Store.open(settings.database_url, clock, secret=settings.secret)
        work = ScoreTable(store, home.artifacts, settings.secret)
        runner, schedules = JobRunner(store, [work]), Schedules(store)
        assert schedules.enqueue_due() == 1 and schedules.enqueue_due() == 0
        assert runner.run_next() and not runner.run_next()
        (job,) = JobLedger(store).jobs(TENANT, kind="score_table")
        assert job.state == "done" and job.result is not None
        assert (job.result["rows"], job.result["scored_at"]) == (400, clock.now().isoformat())
        first = out.read_bytes()
        clock.advance(hours=24)
        assert schedules.enqueue_due() == 1 and runner.run_next()
        assert out.read_bytes() != first  # of another moment, in place of the first
        assert len(out.read_text().splitlines()) == 401
        queued = told(here.home, *words, "--enqueue", "--overwrite")
        assert faults("score", queued) == [] and queued["job"]["state"] == "queued"
        store.close()
