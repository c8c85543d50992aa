"""Folds by content: copies of a text stay together, and the order of the rows has no say."""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def normalised(text: str) -> str:
    """What two texts must share to be copies: case, width and white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_folds(
    texts: Sequence[str], labels: Sequence[str], folds: int, *, seed: int = 0
) -> npt.NDArray[np.intp]:
    """The fold of each row, 0 to `folds` - 1, every label spread over all as far as it can be.

    Copies go by their rarest label, the rarest labels first, each group into the fold that has
    least of that label so far. Who comes first among equals is settled by a hash of the text.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        rows_of[normalised(text)].append(row)
    distinct = Counter(label for rows in rows_of.values() for label in {labels[r] for r in rows})

    def order(group: str) -> tuple[int, str, str]:
        rarest = min({labels[row] for row in rows_of[group]}, key=lambda n: (distinct[n], n))
        content = f"{seed}\0{group}".encode("utf-8", "surrogatepass")
        return distinct[rarest], rarest, hashlib.sha256(content).hexdigest()

    fold_of = np.zeros(len(texts), dtype=np.intp)
    held: dict[str, list[int]] = defaultdict(lambda: [0] * folds)
    total = [0] * folds
    for group in sorted(rows_of, key=order):
        rarest = order(group)[1]
        fold = min(range(folds), key=lambda f: (held[rarest][f], total[f], f))
        rows = rows_of[group]
        fold_of[rows] = fold
        total[fold] += len(rows)
        for row in rows:
            held[labels[row]][fold] += 1
    return fold_of
