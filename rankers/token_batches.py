"""Texts as token ids in batches of like length, so that little of a batch is padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IdArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    rows: tuple[int, ...]  # places in the sequence that was cut into batches
    ids: IdArray  # (rows, tokens of the longest), padded with 0
    mask: IdArray  # 1 where there is a token


def token_batches(ids: Sequence[Sequence[int]], *, budget: int) -> Iterator[TokenBatch]:
    """At most `budget` places a batch, padding included, and always one text or more.

    Longest first; equals by their ids, so the order of the texts has no say in who shares a batch.
    """
    order = sorted(range(len(ids)), key=lambda row: (-len(ids[row]), ids[row]))
    start = 0
    while start < len(order):
        width = len(ids[order[start]])
        rows = order[start : start + max(1, budget // max(1, width))]
        start += len(rows)
        yield _padded(ids, rows, width)


def _padded(ids: Sequence[Sequence[int]], rows: Sequence[int], width: int) -> TokenBatch:
    padded = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(padded)
    for place, row in enumerate(rows):
        padded[place, : len(ids[row])] = ids[row]
        mask[place, : len(ids[row])] = 1
    return TokenBatch(rows=tuple(rows), ids=padded, mask=mask)
