"""From a table to snapshots and a drafted decision, as a user does it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.schemas import faults

HEADER = "asked.at,amount,channel,note,paid back"


def table(path: Path, *, rows: int = 40, first: int = 0, channels: str = "app web") -> Path:
    known = channels.split()
    lines = [
        f"2025-01-01T{n // 60:02d}:{n % 60:02d}:00+00:00,{n * 1.5},{known[n % len(known)]},"
        f"from jo{n}@example.com,{'yes' if n % 3 else 'no'}"
        for n in range(first, first + rows)
    ]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def run(home: Path, *words: object) -> Any:
    """In this process: what is tested is not the start of one."""
    return CliRunner().invoke(app, [*map(str, words)], env={"RUNG_HOME": str(home)})


def told(home: Path, *words: object) -> Any:
    ended = run(home, *words, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def spec(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "loans"
    made = told(home, "init", folder, "--from", table(tmp_path / "t.csv"), "--label", "paid back")
    assert faults("init", made) == []
    assert made["files"] == ["decision.yaml", "rules.yaml"] and made["questions"] >= 12
    return folder


def snapshot(home: Path, spec: Path, data: Path) -> Any:
    made = told(home, "snapshot", spec, data)
    assert faults("snapshot", made) == []
    return made


def test_a_drafted_decision_is_checked_and_read(home: Path, spec: Path, tmp_path: Path) -> None:
    assert told(home, "check", spec)["decision"] == "loans 1"
    made = snapshot(home, spec, tmp_path / "t.csv")
    assert (made["decision"], made["rows"], made["source"]["name"]) == ("loans", 40, "t.csv")
    assert made["time_range"] == ["2025-01-01T00:00:00+00:00", "2025-01-01T00:39:00+00:00"]
    assert set(made["columns"]) == {
        "_seq",
        "amount",
        "asked_at",
        "channel",
        "note",
        "paid_back",
    }
    stored = home / "snapshots" / "default" / made["id"]
    assert sorted(path.name for path in stored.iterdir()) == ["manifest.json", *made["files"]]
    held = b"".join(path.read_bytes() for path in stored.iterdir())
    assert b"@example.com" not in held  # redacted, as in serving


def test_snapshots_are_listed_shown_and_compared(home: Path, spec: Path, tmp_path: Path) -> None:
    first = snapshot(home, spec, tmp_path / "t.csv")
    assert snapshot(home, spec, tmp_path / "t.csv") == first  # made once
    later = table(tmp_path / "later.csv", rows=10, first=40, channels="web")
    second = snapshot(home, spec, later)
    listed = told(home, "snapshots", "list")
    assert faults("snapshots-list", listed) == []
    assert [one["id"] for one in listed["snapshots"]] == [second["id"], first["id"]]
    assert told(home, "snapshots", "list", "--decision", "other") == {"snapshots": []}
    assert told(home, "snapshots", "list", "--tenant", "other") == {"snapshots": []}
    shown = told(home, "snapshots", "show", first["id"][:12])
    assert faults("snapshots-show", shown) == []
    assert shown == first
    changed = told(home, "snapshots", "diff", first["id"], second["id"][:12])
    assert faults("snapshots-diff", changed) == []
    assert changed["rows"] == {"before": 40, "after": 10}
    assert changed["columns"]["channel"]["vanished_values"] == ["app"]
    for words in (["list"], ["show", first["id"]], ["diff", first["id"], second["id"]]):
        ended = run(home, "snapshots", *words)
        assert ended.exit_code == 0 and first["id"][:12] in ended.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["snapshots", "show", "abcdef"], "RUNG-SNAPSHOT-UNKNOWN"),
        (["snapshots", "show", "../.."], "RUNG-SNAPSHOT-UNKNOWN"),
        (["snapshot", "SPEC", "absent.csv"], "RUNG-TABLE-READ"),
        (["snapshot", "SPEC", "table.xlsx"], "RUNG-TABLE-FORMAT"),
        (["snapshot", "SPEC", "other.csv"], "RUNG-TABLE-COLUMN"),
        (["init", "new", "--from", "other.csv"], "RUNG-INIT-LABEL"),
        (["init", "new", "--label", "a"], "RUNG-INIT-LABEL"),
        (["init", "new", "--from", "other.csv", "--label", "c"], "RUNG-TABLE-COLUMN"),
        (["init", "loans", "--from", "t.csv", "--label", "paid back"], "RUNG-FILE-WRITE"),
    ],
)
def test_what_cannot_be_done_is_refused(
    home: Path, spec: Path, tmp_path: Path, words: list[str], code: str
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    before = (spec / "decision.yaml").read_text("utf-8")
    ended = run(home, *(spec if word == "SPEC" else word for word in words), "--json")
    assert ended.exit_code == 2, ended.stdout
    refusal = json.loads(ended.stdout)
    assert faults("error", refusal) == []
    assert refusal["error"]["code"] == code
    assert not (tmp_path / "new").exists()
    assert (spec / "decision.yaml").read_text("utf-8") == before
    assert not list(tmp_path.glob(".rung-init-*"))
    assert told(home, "snapshots", "list") == {"snapshots": []}
