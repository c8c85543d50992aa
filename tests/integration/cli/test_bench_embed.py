"""`rung bench embed` from end to end on few passages: its schema, its arithmetic, its refusals."""

from pathlib import Path

import pytest

from tests.schemas import faults
from tests.terminal import run, told


@pytest.mark.slow  # a dozen processes, each of which loads a model
def test_bench_embed(tmp_path: Path) -> None:
    words = ("bench", "embed", "--passages", 200, "--backend", "minilm-int8")
    measured = told(tmp_path / "home", *words)
    assert faults("bench-embed", measured) == []
    assert set(measured["backends"]) == {"minilm", "minilm-int8"}  # the reference is always there
    for figures in measured["backends"].values():
        assert figures["ratio"] == figures["passages_per_s"] / measured["plain_per_s"]
        assert figures["ndcg"]["n"] > 100
        assert figures["ndcg"]["ci_low"] > 0.5
    assert measured["backends"]["minilm"]["ndcg_against_minilm"]["diff"] == 0
    assert measured["backends"][measured["chosen"]]["peak_mb"] == measured["peak_mb"]


def test_a_backend_or_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for words, code in (
        (("--backend", "minilm-int4"), "RUNG-SETTING-VALUE"),
        (("--data", tmp_path / "none"), "RUNG-BEIR-READ"),
    ):
        ended = run(tmp_path / "home", "bench", "embed", *words)
        assert ended.returncode == 2
        assert code in ended.stderr and "Traceback" not in ended.stderr
