"""A decision from a table, as its owner meets it: snapshot, checks, training, report, registry."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.schemas import faults
from tests.terminal import ROOT, command, environment, run, told

LOANS = ROOT / "examples" / "small_loans"
ROWS = 4000


@dataclass(frozen=True, kw_only=True)
class Loans:
    home: Path
    table: Path
    events: Path
    trained: Any

    @property
    def rows(self) -> list[str]:
        return ["--data", str(self.table), "--events", f"customer={self.events}"]


@pytest.fixture(scope="module")
def loans(tmp_path_factory: pytest.TempPathFactory) -> Loans:
    folder = tmp_path_factory.mktemp("loans")
    table, events = folder / "loans.csv", folder / "payments.jsonl"
    words = ["--rows", str(ROWS), "--seed", "1", "--out", str(table), "--events", str(events)]
    subprocess.run([sys.executable, str(LOANS / "simulate.py"), *words], check=True)
    home = folder / "home"
    trained = told(home, "train", LOANS, "--data", table, "--events", f"customer={events}")
    return Loans(home=home, table=table, events=events, trained=trained)


def test_training_says_what_the_gate_let_in(loans: Loans) -> None:
    assert faults("train", loans.trained) == []
    assert loans.trained["live"] and loans.trained["report"] is None
    assert loans.trained["gate"]["registered"] in ("linear", "boosted", "shallow_tree")
    split = loans.trained["split"]
    assert split["embargoed"] > 100  # thirty days, twice
    assert split["fit"] + split["validation"] + split["test"] + split["embargoed"] == ROWS


def test_a_snapshot_is_found_again_and_shown(loans: Loans, tmp_path: Path) -> None:
    words = ["snapshot", LOANS, loans.table, "--events", f"customer={loans.events}"]
    made = told(loans.home, *words)
    assert faults("snapshot", made) == []
    assert made["id"] == loans.trained["snapshot"]
    listed = told(loans.home, "snapshots", "list", "--decision", "small_loans")
    assert faults("snapshots-list", listed) == []
    assert [one["id"] for one in listed["snapshots"]] == [made["id"]]
    shown = told(loans.home, "snapshots", "show", made["id"][:8])
    assert faults("snapshots-show", shown) == [] and shown["id"] == made["id"]
    shorter = tmp_path / "shorter.csv"
    shorter.write_text("".join(loans.table.open().readlines()[:2001]))
    home = shutil.copytree(loans.home, tmp_path / "home")
    other = told(home, "snapshot", LOANS, shorter, "--events", f"customer={loans.events}")
    changed = told(home, "snapshots", "diff", made["id"], other["id"])
    assert faults("snapshots-diff", changed) == []
    assert changed["rows"] == {"before": ROWS, "after": 2000}


def test_the_report_is_one_page_and_one_markdown_file(loans: Loans, tmp_path: Path) -> None:
    html, markdown = tmp_path / "report.html", tmp_path / "report.md"
    words = ["evaluate", "small_loans", "--html", html, "--markdown", markdown]
    shown = told(loans.home, *words)
    assert faults("evaluate-decision", shown) == []
    assert shown["evaluation"]["gate"] == loans.trained["gate"]
    page = html.read_text("utf-8")
    assert page.count("<svg") >= 5 and "src=" not in page
    for words in ("boosted", "new_customers", "Benjamini", "embargo"):
        assert words in page
    assert "| step |" in markdown.read_text("utf-8").lower()


def test_what_serves_is_judged_on_rows_that_it_never_saw(loans: Loans, tmp_path: Path) -> None:
    table, events = tmp_path / "new.csv", tmp_path / "new.jsonl"
    words = ["--rows", "600", "--seed", "2", "--out", str(table), "--events", str(events)]
    subprocess.run([sys.executable, str(LOANS / "simulate.py"), *words], check=True)
    words = ["--data", table, "--events", f"customer={events}", "--html", tmp_path / "r.html"]
    shown = told(loans.home, "evaluate", LOANS, *words)
    assert faults("evaluate-decision", shown) == []
    assert shown["evaluation"]["split"]["kind"] == "given"
    assert shown["evaluation"]["split"]["test"] == 600
    assert shown["version"] == loans.trained["version"]


def test_the_checks_look_at_the_rows(loans: Loans) -> None:
    found = told(loans.home, "check", LOANS, *loans.rows)
    assert faults("check", found) == []
    outcomes = {one["code"]: one["outcome"] for one in found["checks"]}
    assert outcomes["LEAK-TARGET-COPY"] == "passed"
    assert outcomes["LEAK-LABEL-DELAY"] in ("passed", "tip")


def test_the_registry_makes_it_again(loans: Loans) -> None:
    version = loans.trained["version"]
    listed = told(loans.home, "registry", "list")
    assert [one["id"] for one in listed["versions"]] == [version]
    lineage = told(loans.home, "registry", "lineage", version[:10])
    assert lineage["lineage"]["snapshot"] == loans.trained["snapshot"]
    again = told(loans.home, "registry", "reproduce", version[:10])
    assert again["reproduced"]


def test_the_same_rows_in_another_place_are_the_same_version(loans: Loans, tmp_path: Path) -> None:
    """Also in another order, where each row keeps its number."""
    lines = loans.table.read_text().splitlines()
    numbered = [f"{line},{'_seq' if n == 0 else n - 1}" for n, line in enumerate(lines)]
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([numbered[0], *sorted(numbered[1:], key=lambda s: s[::-1])]))
    env = {"PYTHONHASHSEED": "7", "TZ": "Pacific/Chatham", "OMP_NUM_THREADS": "1"}
    words = ["train", LOANS, "--data", shuffled, "--events", f"customer={loans.events}"]
    other = told(tmp_path / "home", *words, env=env)
    for key in ("snapshot", "release", "version", "gate"):
        assert other[key] == loans.trained[key]


def test_code_that_is_not_committed_is_not_promoted(loans: Loans, tmp_path: Path) -> None:
    """In a repository of its own, so that the state of this one has no say."""
    clone = tmp_path / "clone"
    names = ["api", "cli", "core", "lab", "llm", "rankers", "router", "rules", "workers"]
    for name in [*names, "examples"]:
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock", ".gitignore"):
        shutil.copy(ROOT / name, clone / name)
    git = ["git", "-C", str(clone), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)

    def train(home: str) -> Any:
        env = environment(tmp_path / home, PYTHONPATH=str(clone))
        del env["RUNG_ALLOW_DIRTY"]
        words = command("train", clone / "examples" / "small_loans", *loans.rows, "--json")
        return subprocess.run(words, cwd=clone, env=env, capture_output=True, text=True)

    clean = train("clean")
    assert clean.returncode == 0, clean.stderr
    assert json.loads(clean.stdout)["live"] and not json.loads(clean.stdout)["trial"]
    (clone / "lab" / "kpi.py").open("a").write("\n# a thought\n")
    dirty = train("dirty")
    assert dirty.returncode == 1
    content = json.loads(dirty.stdout)
    assert faults("train", content) == []
    assert not content["live"]
    assert [one["code"] for one in content["reasons"]] == ["RUNG-CODE-DIRTY"]
    assert content["release"] == json.loads(clean.stdout)["release"]


def test_a_killed_training_leaves_no_version_behind(loans: Loans, tmp_path: Path) -> None:
    home = tmp_path / "home"
    started = subprocess.Popen(
        command("train", LOANS, *loans.rows),
        env=environment(home),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if "judging every step" in line:
            os.kill(started.pid, signal.SIGKILL)
    assert started.wait() == -9
    assert told(home, "registry", "list")["versions"] == []
    refused = run(home, "decide", "small_loans", "--facts", LOANS / "requests.jsonl", "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "RUNG-DECISION-UNKNOWN"


def test_training_and_serving_read_requests_alike(loans: Loans) -> None:
    compared = told(loans.home, "parity", LOANS, "--requests", "400", "--seed", "3")
    assert faults("parity", compared) == []
    assert (compared["compared"], compared["differences"]) == (400, 0)


def test_a_table_with_one_model_has_nothing_to_keep(loans: Loans) -> None:
    ended = run(loans.home, "train", LOANS, *loans.rows, "--only", "risk", "--json")
    assert json.loads(ended.stdout)["error"]["code"] == "RUNG-TRAIN-ONLY"
    for words, code in (
        (["train", LOANS, *loans.rows, "--snapshot", "0000"], "RUNG-SNAPSHOT-CHOICE"),
        (["train", LOANS, "--snapshot", "0000"], "RUNG-SNAPSHOT-UNKNOWN"),
        (["train", LOANS, "--data", loans.table, "--events", "x=y"], "RUNG-EVENTS-MISSING"),
    ):
        ended = run(loans.home, *words, "--json")
        assert (ended.returncode, json.loads(ended.stdout)["error"]["code"]) == (2, code)


def test_without_a_table_the_newest_snapshot_is_trained_on(loans: Loans, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ended = run(home, "train", LOANS, "--json")
    assert json.loads(ended.stdout)["error"]["code"] == "RUNG-SNAPSHOT-UNKNOWN"
    few = tmp_path / "few.csv"
    few.write_text("".join(loans.table.open().readlines()[:601]))
    for table in (few, loans.table):
        made = told(home, "snapshot", LOANS, table, "--events", f"customer={loans.events}")
    trained = told(home, "train", LOANS)
    assert (trained["snapshot"], trained["version"]) == (made["id"], loans.trained["version"])


def test_events_that_are_told_are_facts_of_the_next_decision(loans: Loans, tmp_path: Path) -> None:
    home = shutil.copytree(loans.home, tmp_path / "home")
    scopes = [word for scope in ("decide", "read", "events") for word in ("--scope", scope)]
    key = told(home, "key", "create", *scopes)["key"]
    server = subprocess.Popen(
        command("serve", "--port", 0, "--json"),
        env=environment(home),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
            now = datetime.now(UTC)
            events = [
                {"id": "p-1", "kind": "bounced", "values": {"amount": 20}},
                {"id": "p-2", "kind": "paid", "values": {"amount": 30.5}},
            ]
            body = {"events": [{**one, "happened_at": now.isoformat()} for one in events]}
            path = "/v1/entities/customer/c-0001"
            first = client.post(f"{path}/events", json=body)
            again = client.post(f"{path}/events", json=body)
            assert (first.status_code, again.status_code) == (201, 201), first.text
            told_of = client.get(f"{path}/features").json()["features"]
            features = {one["name"]: one["value"] for one in told_of}
            assert (features["bounced_30d"], features["paid_30d"]) == (1.0, 30.5)
            facts = {
                "customer": "c-0001",
                "asked_at": (now + timedelta(seconds=5)).isoformat(),
                "amount": 500,
                "account_age_days": 300,
                "channel": "app",
            }
            calm = client.post(
                "/v1/decisions/small_loans", json={"facts": {**facts, "customer": "c-0002"}}
            )
            risky = client.post("/v1/decisions/small_loans", json={"facts": facts})
            assert (calm.status_code, risky.status_code) == (200, 200), risky.text
            sent = client.post(
                "/v1/decisions/small_loans", json={"facts": {**facts, "bounced_30d": 0}}
            )
            assert sent.json()["error"]["code"] == "RUNG-FACTS-UNKNOWN"
            traces = [
                client.get(f"/v1/decisions/{one.json()['id']}").json() for one in (calm, risky)
            ]
    finally:
        server.terminate()
        server.wait(timeout=30)
    risks = [one["steps"][-1]["verdict"]["details"]["risk"] for one in traces]
    assert risks[1] > risks[0]
