"""Some rooms' names exist on PyPI too: each must resolve inside this repository."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "room", ["core", "rules", "router", "rankers", "llm", "workers", "api", "lab", "cli"]
)
def test_room_resolves_here(room: str) -> None:
    assert importlib.import_module(room).__file__ == str(ROOT / room / "__init__.py")
