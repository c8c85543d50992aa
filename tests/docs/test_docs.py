"""What README and docs say is true: snippets run, every error code is explained."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from rules.ruleset import RulesEngine

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.M | re.S)
    return [found for page in PAGES for found in pattern.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize("line", [line for s in snippets("sh") for line in s.splitlines()])
def test_commands_run(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program, *words = shlex.split(line)
    assert program == "rung"
    assert CliRunner().invoke(app, words).exit_code == 0


@pytest.mark.parametrize("text", snippets("yaml"))
def test_rule_files_hold_their_cases(text: str) -> None:
    engine = RulesEngine.from_text(text)
    assert engine.ruleset.tests and engine.run_cases() == []


def test_there_are_snippets_of_both_kinds() -> None:
    assert snippets("sh") and snippets("yaml")


def test_every_error_code_is_documented_and_used() -> None:
    code = re.compile(r"RUNG-[A-Z]+-[A-Z]+")
    used = {
        found
        for room in ("core", "rules", "router", "rankers", "lab", "cli")
        for path in (ROOT / room).rglob("*.py")
        for found in code.findall(path.read_text("utf-8"))
    }
    assert used == set(code.findall((ROOT / "docs/reference/errors.md").read_text("utf-8")))
