"""Every text is in one batch, whole, within the budget, and its row's place has no say."""

from hypothesis import given
from hypothesis import strategies as st

from rankers.token_batches import token_batches

IDS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), max_size=25)


@given(IDS, st.integers(1, 40))
def test_every_text_once_whole_and_within_the_budget(ids: list[list[int]], budget: int) -> None:
    found = {}
    for batch in token_batches(ids, budget=budget):
        assert batch.ids.size <= budget or len(batch.rows) == 1
        for row, padded, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert row not in found
            found[row] = padded[mask == 1].tolist()
            assert not padded[mask == 0].any()
    assert [found[row] for row in range(len(ids))] == ids


@given(IDS, st.randoms(use_true_random=False))
def test_the_order_has_no_say(ids: list[list[int]], source: object) -> None:
    shuffled = list(ids)
    source.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (
        [batch.ids.tolist() for batch in token_batches(of, budget=20)] for of in (ids, shuffled)
    )
    assert one == two
