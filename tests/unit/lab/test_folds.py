"""Folds by content: copies together, labels spread, rows in any order."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lab.folds import content_folds, normalised

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "A ", "b", "c", "d", "e", "f", "\uff26"]), st.sampled_from("xyz")
    ),
    min_size=1,
    max_size=40,
)


@given(ROWS, st.integers(0, 3))
def test_copies_share_a_fold_in_any_order(rows: list[tuple[str, str]], shuffle: int) -> None:
    folds = content_folds([t for t, _ in rows], [n for _, n in rows], 3)
    fold_of: dict[str, int] = {}
    for (text, _), fold in zip(rows, folds, strict=True):
        assert fold_of.setdefault(normalised(text), int(fold)) == fold
    shuffled = random.Random(shuffle).sample(rows, len(rows))
    again = content_folds([t for t, _ in shuffled], [n for _, n in shuffled], 3)
    assert [fold_of[normalised(text)] for text, _ in shuffled] == list(again)


@given(st.lists(st.sampled_from("xyz"), min_size=3, max_size=60))
def test_each_label_is_spread_evenly_where_no_text_is_repeated(labels: list[str]) -> None:
    folds = content_folds([f"text {row}" for row in range(len(labels))], labels, 3)
    for label in set(labels):
        held = Counter(int(f) for f, own in zip(folds, labels, strict=True) if own == label)
        sizes = [held[fold] for fold in range(3)]
        assert max(sizes) - min(sizes) <= 1


def test_another_seed_makes_other_folds() -> None:
    texts, labels = [f"text {row}" for row in range(60)], ["x", "y"] * 30
    assert list(content_folds(texts, labels, 3)) != list(content_folds(texts, labels, 3, seed=1))
