"""Runs `rung` as a user does: a process of its own, in a home of its own, told nothing else."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "payments_support"
TEMPLATE = ROOT / "cli" / "template"
PATIENCE_S = 300  # far above what any command here takes; reached only where one hangs


def environment(home: Path, **further: str) -> dict[str, str]:
    """Without any RUNG_ name of the shell that runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNG_")}
    return {
        **kept,
        "RUNG_HOME": str(home),
        "RUNG_ALLOW_DIRTY": "1",  # whoever works on the code runs its tests before committing
        "PYTHONPATH": str(ROOT),
        **further,
    }


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "cli", *map(str, words)]


def run(
    home: Path, *words: object, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """The folder above the home is where it runs, so that nothing lands in the repository."""
    return subprocess.run(
        command(*words),
        env=environment(home, **(env or {})),
        cwd=_made(home.parent),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def told(home: Path, *words: object, env: Mapping[str, str] | None = None) -> Any:
    """The one JSON object of a command that must be well."""
    ended = run(home, *words, "--json", env=env)
    assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return json.loads(ended.stdout)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
