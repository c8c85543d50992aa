"""The terminal's two commands, run as a person would."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app

EXAMPLE = Path(__file__).parents[3] / "examples" / "payments_support"
RULES = str(EXAMPLE / "rules.yaml")
run = CliRunner().invoke


def test_the_example_holds_its_own_cases() -> None:
    result = run(app, ["check", RULES, "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["cases"] == 5 and told["failures"] == []


def test_a_case_that_does_not_hold_fails_the_check(tmp_path: Path) -> None:
    broken = tmp_path / "rules.yaml"
    broken.write_text((EXAMPLE / "rules.yaml").read_text().replace("le: 50", "lt: 50"))
    result = run(app, ["check", str(broken), "--json"])
    assert result.exit_code == 1
    assert [f["name"] for f in json.loads(result.stdout)["failures"]] == [
        "a small duplicate is refunded"
    ]


def test_the_example_s_requests_are_decided() -> None:
    result = run(app, ["decide", RULES, "--facts", str(EXAMPLE / "requests.jsonl"), "--json"])
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [t["outcomes"] for t in told] == [
        ["block_card"],
        ["refund"],
        [],
        ["explain_transfer_time"],
        [],
    ]
    assert [t["escalate"] for t in told] == [False, False, True, False, False]


def test_a_readable_trace_names_each_node() -> None:
    result = run(app, ["decide", RULES, "--facts", str(EXAMPLE / "requests.jsonl")])
    assert "amount le 50: unknown" in result.stdout


@pytest.mark.parametrize("line", ["{", "[1]", "[" * 100_000, '"\\ud800"', "NaN"])
def test_bad_facts_are_a_clear_error(tmp_path: Path, line: str) -> None:
    facts = tmp_path / "facts.jsonl"
    facts.write_text('{"kind": "card_lost"}\n' + line + "\n")
    result = run(app, ["decide", RULES, "--facts", str(facts), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] in {"RUNG-JSON-SYNTAX", "RUNG-FACTS-TYPE"}


@pytest.mark.parametrize("name", ["absent.yaml", ".", "latin1.yaml"])
def test_an_unreadable_file_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin1.yaml").write_bytes(b"version: \xe9")
    result = run(app, ["check", str(tmp_path / name), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-FILE-READ"
