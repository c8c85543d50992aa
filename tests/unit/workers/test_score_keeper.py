"""Scores are kept beside the scoring: sorted, each key once, and no error lost."""

import random
import threading
import time
from typing import Any

import pyarrow as pa
import pytest

from workers.score_keeper import ROWS_SORTED, ROWS_WRITTEN, Keeper, last_by_key


def batch(keys: list[str], first: int = 0) -> Any:
    return pa.record_batch({"key": keys, "place": list(range(first, first + len(keys)))})


def as_sent(rows: Any) -> Any:
    return rows


def test_of_one_key_the_last_row_stands_and_keys_ascend() -> None:
    keys = [f"k{random.Random(1).randrange(50)}" for _ in range(10)] + ["b", "é", "a", "b", "B"]
    random.Random(2).shuffle(keys)
    rows = last_by_key(pa.Table.from_batches([batch(keys[:7]), batch(keys[7:], 7)]))
    last = {key: place for place, key in enumerate(keys)}
    assert rows["key"].to_pylist() == sorted(last)
    assert dict(zip(*(rows[name].to_pylist() for name in ("key", "place")), strict=True)) == last
    assert len(last_by_key(pa.Table.from_batches([batch(["a"])]))) == 1
    nobody = pa.record_batch({"key": pa.array([], pa.string())})
    assert len(last_by_key(pa.Table.from_batches([nobody]))) == 0


def test_rows_are_written_while_others_are_handed_in() -> None:
    may_write, written = threading.Event(), []

    def write(rows: Any) -> int:
        assert may_write.wait(30)
        assert len(rows) <= ROWS_WRITTEN
        written.append(rows)
        return len(rows)

    whole = [f"{n:06}" for n in range(ROWS_SORTED)]
    with Keeper(as_sent, write) as keeper:
        keeper.keep(batch(whole))
        keeper.keep(batch(["a", "b"]))  # returns, though nothing is written
        assert not written
        may_write.set()
    assert keeper.stored == ROWS_SORTED + 2
    assert [key for rows in written for key in rows["key"].to_pylist()] == [*whole, "a", "b"]


def test_nothing_handed_in_writes_nothing() -> None:
    with Keeper(as_sent, len) as keeper:
        pass
    assert keeper.stored == 0


@pytest.mark.parametrize("rows", [1, ROWS_SORTED])
def test_an_error_of_the_store_is_raised(rows: int) -> None:
    def refuse(rows: Any) -> int:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"), Keeper(as_sent, refuse) as keeper:
        keeper.keep(batch(["a"] * rows))


def test_after_an_error_of_the_block_no_more_is_written() -> None:
    begun, written = threading.Event(), []

    def write(rows: Any) -> int:
        begun.set()
        time.sleep(0.3)
        written.append(rows)
        return len(rows)

    with pytest.raises(ValueError, match="mine"), Keeper(as_sent, write) as keeper:
        keeper.keep(batch([f"{n:06}" for n in range(ROWS_SORTED)]))
        assert begun.wait(30)
        raise ValueError("mine")
    assert 1 <= len(written) < ROWS_SORTED // ROWS_WRITTEN  # what was under way, and it is over
