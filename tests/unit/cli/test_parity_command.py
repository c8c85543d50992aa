"""`rung parity` on a folder: what it prints, and how it ends."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.commands.parity import readable
from cli.main import app
from tests.fakes.entity_decision import DECISION
from tests.schemas import faults

RULES = """
version: "1"
hit_policy: first
rules:
  - id: many_payments
    when: {field: payments_30d, ge: 2}
    outcome: hold
    reason: many payments went out
"""


def folder(path: Path, rules: str = RULES) -> str:
    (path / "decision.yaml").write_text(DECISION)
    (path / "rules.yaml").write_text(rules)
    return str(path)


def test_json_and_readable(tmp_path: Path) -> None:
    words = ["parity", folder(tmp_path), "--requests", "60", "--seed", "4"]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert faults("parity", told) == []
    assert (told["compared"], told["seed"], told["differences"]) == (60, 4, 0)
    assert "differences: 0" in CliRunner().invoke(app, words).stdout


def test_a_difference_is_shown() -> None:
    example = {"request": 3, "value": "risk.features.amount", "online": 1.5, "offline": None}
    told = {
        "decision": "transfers",
        "seed": 0,
        "compared": 10,
        "values": ["risk.features.amount"],
        "events": {},
        "differences": 1,
        "max_abs_diff": 0.0,
        "examples": [{**example, "sent": {"amount": 1.5}}],
    }
    assert faults("parity", told) == []
    assert "request 3, risk.features.amount: online 1.5, offline None" in readable(told)


def test_a_rule_may_read_a_feature_and_no_key(tmp_path: Path) -> None:
    path = folder(tmp_path, RULES.replace("payments_30d", "merchant"))
    result = CliRunner().invoke(app, ["parity", path, "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-RULES-FIELD"
