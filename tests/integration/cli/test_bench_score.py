"""`rung bench score`: the figures it prints, and that a batch and online agree."""

from pathlib import Path

from tests.schemas import faults
from tests.terminal import told


def test_batch_and_online_agree(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    words = ("bench", "score", "--rows", "3000", "--sample", "300")
    measured = told(tmp_path / "home", *words, env={"RUNG_ARTIFACTS": str(artifacts)})
    assert faults("bench-score", measured) == []
    assert (measured["rows"], measured["compared"], measured["differences"]) == (3000, 300, 0)
    assert set(measured["answered"]) >= {"classical", "person", "rules"}
    # It works in a home of its own.
    assert not (tmp_path / "home").exists() and not artifacts.exists()
