"""What the embedder's bench draws, and which backend its figures favour."""

import sys
from typing import Any

import pytest

from cli.bench_embed import MARGIN, StepProcess, choose
from cli.bench_texts import mixed_passages, one_in_a_hundred_changed
from core.errors import Unavailable

DOCUMENTS = [f"Article {n}. It has a sentence. And number {n} has another one." for n in range(9)]


def figures(rate: float, low: float) -> dict[str, Any]:
    return {"passages_per_s": rate, "ndcg_against_minilm": {"ci_low": low}}


@pytest.mark.parametrize(
    ("rate", "low", "chosen"),
    [
        (30, -MARGIN, "minilm-int8"),
        (30, -MARGIN - 0.001, "minilm"),  # fast, and perhaps worse
        (9, 0.02, "minilm"),  # surely better, and slower: speed is what is chosen by
    ],
)
def test_the_fastest_of_the_equally_good_is_chosen(rate: float, low: float, chosen: str) -> None:
    assert choose({"minilm": figures(10, 0), "minilm-int8": figures(rate, low)}) == chosen


def test_passages_are_distinct_mixed_and_the_same_for_a_seed() -> None:
    passages = mixed_passages(DOCUMENTS, 400, seed=1)
    assert len(set(passages)) == 400
    assert passages == mixed_passages(DOCUMENTS, 400, seed=1)
    assert passages != mixed_passages(DOCUMENTS, 400, seed=2)
    assert set(DOCUMENTS) <= set(passages)
    lengths = sorted(map(len, passages))
    assert lengths[-40] > 3 * lengths[40]
    first, last = (sum(map(len, part)) / 200 for part in (passages[:200], passages[200:]))
    assert 0.7 < first / last < 1.4  # no order by length


def test_one_in_a_hundred_is_changed() -> None:
    passages = mixed_passages(DOCUMENTS, 400, seed=1)
    changed = one_in_a_hundred_changed(passages)
    assert sum(one != two for one, two in zip(passages, changed, strict=True)) == 4


def step_of(program: str) -> StepProcess:
    return StepProcess([sys.executable, "-c", f"import json, sys\n{program}"])


def test_a_step_whose_result_is_larger_than_a_pipe_ends() -> None:
    """It tells its progress before and after, so whoever reads that to its end is not done yet."""
    told: list[tuple[str, int, int]] = []
    step = step_of(
        "print('1 2', file=sys.stderr, flush=True)\n"
        "print(json.dumps({'ndcg': [0.123456789] * 50_000}), flush=True)\n"
        "print('2 2', file=sys.stderr)"
    )
    found = step.ended("retrieval", lambda *words: told.append(words))
    assert found == {"ndcg": [0.123456789] * 50_000}
    assert told == [("retrieval", 0, 1), ("retrieval", 1, 2), ("retrieval", 2, 2)]


def test_a_step_that_fails_says_its_last_word() -> None:
    with pytest.raises(Unavailable) as caught:
        step_of("sys.exit('no space left')").ended("retrieval", lambda *words: None)
    assert caught.value.code == "RUNG-BENCH-STEP"
    assert "code 1: no space left" in caught.value.message
