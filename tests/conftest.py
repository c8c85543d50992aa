"""The example, embedded and trained once in a home of its own, for every test that needs one."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.terminal import EXAMPLE, environment, told

ROWS = 1400  # with this seed every rung answers several of the example's requests
SEED = 5
# What the fixture does, as README says it.
AS_README = (
    f"python examples/payments_support/simulate.py --rows {ROWS} --seed {SEED} --out history.jsonl",
    "rung embed examples/payments_support --wait",
    "rung train examples/payments_support --data history.jsonl",
)
# The tests give each process one core; here are two, so that determinism is held against one.
THREADS = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the commands printed while `home` came to be, and the rows it was trained on."""

    home: Path
    history: Path
    embedded: Any
    trained: Any


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Made by the first of several test processes that asks, for all of them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    home, history, printed = (folder / n for n in ("home", "history.jsonl", "printed.json"))
    with FileLock(folder.with_suffix(".lock")):
        if not printed.exists():
            folder.mkdir()
            simulated(history, rows=ROWS, seed=SEED)
            embedded = told(home, "embed", EXAMPLE, "--wait", env=THREADS)
            trained = told(home, "train", EXAMPLE, "--data", history, env=THREADS)
            printed.write_text(json.dumps({"embedded": embedded, "trained": trained}))
    return Training(home=home, history=history, **json.loads(printed.read_text()))


@pytest.fixture(scope="session")
def trained_home(training: Training) -> Path:
    """To be read only; `own_home` is for a test that leaves something behind."""
    return training.home


@pytest.fixture
def own_home(trained_home: Path, tmp_path: Path) -> Path:
    own = shutil.copytree(trained_home, tmp_path / "home", ignore=shutil.ignore_patterns("models"))
    (own / "models").symlink_to(trained_home / "models")  # some 90 MB that are only read
    return own


def copied(home: Path, to: Path) -> Path:
    shutil.copytree(home, to, ignore=shutil.ignore_patterns("models"))
    (to / "models").symlink_to(home / "models")  # some 90 MB that are only read
    return to


def simulated(out: Path, *, rows: int, seed: int, split: str = "train") -> None:
    words = ["--rows", str(rows), "--seed", str(seed), "--split", split, "--out", str(out)]
    subprocess.run(
        [sys.executable, str(EXAMPLE / "simulate.py"), *words],
        env=environment(out.parent / "home"),
        cwd=out.parent,
        check=True,
        capture_output=True,
    )
