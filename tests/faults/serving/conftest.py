"""A decision by fields, trained once, for servers that are killed."""

import shutil
import socket
from pathlib import Path

import pytest

from tests.fakes.loans_decision import written
from tests.terminal import told


@pytest.fixture(scope="session")
def loans_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read only."""
    folder = tmp_path_factory.mktemp("loans")
    loans = written(folder / "decision")
    trained = told(folder / "home", "train", loans.decision, "--data", loans.rows)
    assert trained["live"], trained
    return folder / "home"


@pytest.fixture
def home(loans_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(loans_home, tmp_path / "home")


@pytest.fixture
def port() -> int:
    """A free one, which a server that is started again can take again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
