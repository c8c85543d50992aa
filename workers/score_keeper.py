"""Keeps scores in the store while the next rows are scored, many at a time and by their keys.

Keys are pseudonyms, so that each lies on another page of the table than the one before. Of more
rows that are sorted together more lie on one page, which is then written once for all of them.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS_SORTED = 1 << 18  # some 20 MB; with half as many SQLite takes a third longer for a million
ROWS_WRITTEN = 1 << 16  # at a time, as Python objects


class Keeper:
    """`named` are rows by the keys of the store, `write` returns how many keys it wrote.

    Both are called on a thread of its own. An error of theirs is raised by a later `keep` or at the
    end of the block. Where the block ends by an error, what is being written is waited for.
    """

    def __init__(self, named: Callable[[Any], Any], write: Callable[[Any], int]) -> None:
        self.stored = 0
        self._named = named
        self._write = write
        self._waiting: list[Any] = []
        self._given_up = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score-keeper")
        self._under_way: Future[int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._hand_over()
                self._wait()
        finally:
            self._given_up = True
            self._thread.shutdown()

    def keep(self, batch: Any) -> None:
        """`batch` has the columns of the store, and `key` among them as it was sent."""
        self._waiting.append(batch)
        if sum(len(each) for each in self._waiting) >= ROWS_SORTED:
            self._hand_over()

    def _hand_over(self) -> None:
        """Waits for the rows before, so that no more than twice the rows lie in memory."""
        self._wait()
        if self._waiting:
            self._under_way = self._thread.submit(self._kept, self._waiting)
            self._waiting = []

    def _wait(self) -> None:
        if self._under_way is not None:
            self.stored += self._under_way.result()
            self._under_way = None

    def _kept(self, batches: list[Any]) -> int:
        rows = last_by_key(pa.Table.from_batches([self._named(each) for each in batches]))
        stored = 0
        for start in range(0, len(rows), ROWS_WRITTEN):
            if not self._given_up:
                stored += self._write(rows.slice(start, ROWS_WRITTEN))
        return stored


def last_by_key(rows: Any) -> Any:
    """Of rows with one key the last, all in the order of their keys."""
    rows = rows.combine_chunks()
    rows = rows.take(pc.sort_indices(rows["key"]))  # stable
    keys, last = rows["key"], np.ones(len(rows), dtype=bool)
    last[:-1] = pc.not_equal(keys[:-1], keys[1:]).to_numpy()
    return rows.filter(pa.array(last))
