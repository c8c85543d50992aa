"""Rules from the terminal, run as a person would."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.schemas import faults
from tests.terminal import EXAMPLE

RULES = str(EXAMPLE / "rules.yaml")
run = CliRunner().invoke


def test_the_example_s_rules_hold_their_own_cases() -> None:
    result = run(app, ["check", RULES, "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert faults("check", told) == []
    assert told["decision"] is None and told["corpora"] == {}
    assert told["cases"] == 10 and told["failures"] == []


def test_the_example_s_folder_holds() -> None:
    result = run(app, ["check", str(EXAMPLE), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert faults("check", told) == []
    assert told["decision"] == "payments_support 1"
    articles = {name: len(list((EXAMPLE / name).glob("*.md"))) for name in told["corpora"]}
    assert told["corpora"] == articles and set(articles) == {"corpus", "corpus_business"}


def test_a_case_that_does_not_hold_fails_the_check(tmp_path: Path) -> None:
    broken = tmp_path / "rules.yaml"
    broken.write_text((EXAMPLE / "rules.yaml").read_text().replace("le: 50", "lt: 50"))
    result = run(app, ["check", str(broken), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert faults("check", told) == []
    assert [f["name"] for f in told["failures"]] == ["a small duplicate is refunded"]


def test_the_example_s_requests_are_decided_by_rules_alone() -> None:
    result = run(app, ["decide", RULES, "--facts", str(EXAMPLE / "requests.jsonl"), "--json"])
    told = [json.loads(line) for line in result.stdout.splitlines()]
    assert [faults("decide", verdict) for verdict in told] == [[]] * 23
    assert [verdict["outcomes"] for verdict in told[:5]] == [
        ["block_card"],
        ["refund"],
        [],
        ["explain_transfer_time"],
        ["unlock_account"],
    ]
    assert [place for place, verdict in enumerate(told) if verdict["escalate"]] == [2]
    assert not any(verdict["outcomes"] for verdict in told[5:])


def test_a_readable_trace_names_each_node() -> None:
    result = run(app, ["decide", RULES, "--facts", str(EXAMPLE / "requests.jsonl")])
    assert "amount le 50: unknown" in result.stdout


@pytest.mark.parametrize("line", ["{", "[1]", "[" * 100_000, '"\\ud800"', "NaN"])
def test_bad_facts_are_a_clear_error(tmp_path: Path, line: str) -> None:
    facts = tmp_path / "facts.jsonl"
    facts.write_text('{"kind": "card_lost"}\n' + line + "\n")
    result = run(app, ["decide", RULES, "--facts", str(facts), "--json"])
    assert result.exit_code == 2
    refusal = json.loads(result.stdout)  # alone: the good line before it is not decided either
    assert faults("error", refusal) == []
    assert refusal["error"]["code"] in {"RUNG-JSON-SYNTAX", "RUNG-FACTS-TYPE"}


@pytest.mark.parametrize("name", ["absent.yaml", ".", "latin1.yaml"])
def test_an_unreadable_file_is_a_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin1.yaml").write_bytes(b"version: \xe9")
    result = run(app, ["check", str(tmp_path / name), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-FILE-READ"
