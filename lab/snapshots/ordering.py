"""The order of rows that lie in a file: by time, by their own numbers, or as they stand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import InvalidDocument
from lab.snapshots.plan import SEQ

GROUP_ROWS = 1 << 17  # taken at once, and of a row group: some 30 MB of thirty numbers
Order = npt.NDArray[np.int64]


def order_of(times: Order | None, numbers: Order | None, rows: int) -> Order | None:
    """Places of the rows from the first to the last; None where they stand so already."""
    if numbers is not None and len(np.unique(numbers)) != rows:
        raise InvalidDocument(
            "RUNG-TABLE-CONTENT",
            f"a number of '{SEQ}' stands twice, or not in every row",
            way_out="Number each row once.",
        )
    keys = [key for key in (numbers, times) if key is not None]  # the last counts first
    if not keys:
        return None
    order = np.lexsort(keys)
    return None if np.array_equal(order, np.arange(rows)) else order


def count_rows(raw: Path) -> int:
    with pa.memory_map(str(raw)) as source, pa.ipc.open_file(source) as reader:
        return sum(reader.get_batch(n).num_rows for n in range(reader.num_record_batches))


def in_order(raw: Path, order: Order | None) -> Iterator[Any]:
    """Record batches of GROUP_ROWS; what is mapped from the file is not in memory."""
    with pa.memory_map(str(raw)) as source, pa.ipc.open_file(source) as reader:
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        ends = np.cumsum([batch.num_rows for batch in batches])
        for start in range(0, int(ends[-1]), GROUP_ROWS):
            if order is None:
                places = np.arange(start, min(start + GROUP_ROWS, int(ends[-1])))
            else:
                places = order[start : start + GROUP_ROWS]
            yield _gathered(batches, ends, places)


def _gathered(batches: Sequence[Any], ends: Order, places: Order) -> Any:
    """The rows at `places`. Arrow's own take would put the whole table together each time."""
    rising = np.argsort(places, kind="stable")
    sorted_places = places[rising]
    pieces = []
    cuts = np.searchsorted(sorted_places, ends)
    low = 0
    for batch, end, high in zip(batches, ends, cuts, strict=True):
        if high > low:
            within = sorted_places[low:high] - (end - batch.num_rows)
            whole = len(within) == within[-1] - within[0] + 1
            piece = batch.slice(within[0], len(within)) if whole else batch.take(pa.array(within))
            pieces.append(piece)
        low = high
    together = pa.Table.from_batches(pieces).combine_chunks()
    if not np.array_equal(rising, np.arange(len(rising))):
        together = together.take(pa.array(np.argsort(rising))).combine_chunks()
    (found,) = together.to_batches()
    return found
