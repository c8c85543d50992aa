"""What the embedder's bench draws, and which backend its figures favour."""

from typing import Any

import pytest

from cli.bench_embed import MARGIN, choose
from cli.bench_texts import mixed_passages, one_in_a_hundred_changed

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
