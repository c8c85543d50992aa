"""The how-to of entity features: its declarations hold, its requests are sent here."""

import json
import re
from pathlib import Path

from core.spec import load_spec, parse_spec
from lab.point_in_time import read_events
from rules.ruleset import RulesEngine
from tests.fakes.entity_decision import DECISION
from tests.fakes.http_face import Face

PAGE = (Path(__file__).parents[3] / "docs/how-to/entity-features.md").read_text("utf-8")
MODEL = "risk:\n  outcome: hold\n  otherwise: pass\n  label: disputed\n  features:\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def decision(features: str) -> str:
    """The page's entities in place of the fake's."""
    (entities,) = blocks("yaml-entities")
    before, _ = DECISION.split("entities:\n")
    _, after = DECISION.split("outcomes:\n")
    rest, _ = after.split("risk:\n")
    return f"{before}{entities}outcomes:\n{rest}{MODEL}{features}"


def test_what_is_declared_told_and_read(face: Face, tmp_path: Path) -> None:
    spec = parse_spec(decision("    spent: {kind: log1p, of: spent_30d}\n"))
    face.service.specs = {"triage": spec}
    for block in blocks("http"):
        head, _, body = block.strip().partition("\n\n")
        method, path = head.split(" ")
        response = face.send(method, path, json=json.loads(body) if body else None)
        assert response.is_success, response.text
    values = {one["name"]: one["value"] for one in response.json()["features"]}
    assert values == {"payments_30d": 1, "spent_30d": 25.5, "days_since_login": None}
    (row,) = blocks("json")
    (tmp_path / "events.jsonl").write_text(row)
    table = read_events(tmp_path / "events.jsonl", spec.entities["customer"])
    assert table.facts(["c-4711"], [face.clock.now()])["spent_30d"] == [25.5]


def test_the_shared_file(tmp_path: Path) -> None:
    (shared,), (use,) = blocks("yaml-shared"), blocks("yaml-use")
    files, _, feature = use.partition("risk:\n  features:\n")
    folder = tmp_path / "decisions/transfers"
    folder.mkdir(parents=True)
    (tmp_path / "decisions/features").mkdir()
    (tmp_path / "decisions/features/payments.yaml").write_text(shared)
    (folder / "decision.yaml").write_text(files + decision(feature))
    spec = load_spec(folder)
    assert spec.risk and spec.risk.features["spent"].version == 3
    assert spec.risk.features["spent"].owner == "the payments team"


def test_the_rule_reads_a_feature() -> None:
    (rules,) = blocks("yaml")
    assert RulesEngine.from_text(rules).run_cases() == []
