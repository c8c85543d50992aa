"""What README and docs say is true: snippets run, every error code is explained."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rules.ruleset import RulesEngine
from tests.conftest import AS_README, Training, copied
from tests.terminal import environment

ROOT = Path(__file__).parents[2]
ROOMS = ("core", "rules", "router", "rankers", "llm", "lab", "workers", "api", "cli")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"rung": [sys.executable, "-m", "cli"], "python": [sys.executable]}


def snippets(page: Path, language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.M | re.S)
    return pattern.findall(page.read_text("utf-8"))


def pages_with(language: str) -> Iterator[Path]:
    return (page for page in PAGES if snippets(page, language))


@dataclass(frozen=True)
class Reader:
    """Reads one page after the other, in one folder; what is done already is not done again."""

    folder: Path
    done: set[str] = field(default_factory=set)

    def do(self, line: str) -> None:
        if line in self.done:
            return
        program, *words = shlex.split(line, comments=True)
        ended = subprocess.run(
            [*PROGRAMS[program], *words],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment(self.folder / "home"),
        )
        assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
        self.done.add(line)


@pytest.fixture(scope="module")
def reader(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """After README's training, which other tests need as well."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    copied(training.home, folder / "home")
    shutil.copy(training.history, folder / "history.jsonl")
    return Reader(folder, done=set(AS_README))


def test_what_the_tests_train_is_what_readme_trains() -> None:
    lines = {line for s in snippets(ROOT / "README.md", "sh") for line in s.splitlines()}
    assert set(AS_README) <= lines


@pytest.mark.parametrize("page", list(pages_with("sh")), ids=lambda page: page.stem)
def test_commands_of_a_page_run_one_after_the_other(page: Path, reader: Reader) -> None:
    for snippet in snippets(page, "sh"):
        for line in filter(None, snippet.splitlines()):
            reader.do(line)


@pytest.mark.parametrize("text", [s for page in PAGES for s in snippets(page, "yaml")])
def test_rule_files_hold_their_cases(text: str) -> None:
    engine = RulesEngine.from_text(text)
    assert engine.ruleset.tests and engine.run_cases() == []


def test_there_are_snippets_of_both_kinds() -> None:
    assert list(pages_with("sh")) and list(pages_with("yaml"))


def test_every_error_code_is_documented_and_used() -> None:
    code = re.compile(r"RUNG-[A-Z]+-[A-Z]+")
    used = {
        found
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for found in code.findall(path.read_text("utf-8"))
    }
    assert used == set(code.findall((ROOT / "docs/reference/errors.md").read_text("utf-8")))


def test_every_link_between_pages_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!https?://)([^)#]+)")
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*PAGES, ROOT / "ARCHITECTURE.md"]
        for target in link.findall(page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
