"""Features that break their promise, each in one way; another process must be able to import them.

`honest` is the real one.
"""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from core.features import FeatureSpec, Matrix, compute_columns

honest = compute_columns
Features = Mapping[str, FeatureSpec]
Columns = Mapping[str, Sequence[Any]]
Categories = Mapping[str, Sequence[str]]


def _changed(matrix: Matrix, by: Any) -> Matrix:
    """Only the first column."""
    changed = matrix.copy()
    changed[:, 0] += by
    return changed


def by_chance(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    noise = np.random.default_rng().normal(size=n)
    return _changed(compute_columns(f, c, n, k), noise)


def scaled_by_the_batch(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    matrix = compute_columns(f, c, n, k)
    return _changed(matrix, np.nanmean(matrix[:, 1]))


def by_the_row_before(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    matrix = compute_columns(f, c, n, k)
    return _changed(matrix, np.roll(matrix[:, 1], 1))


def by_hash(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    return _changed(compute_columns(f, c, n, k), hash("a customer") % 1_000_003)


def by_time_zone(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    return _changed(compute_columns(f, c, n, k), datetime.fromtimestamp(0).hour)


def by_day_of_the_clock(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    return _changed(compute_columns(f, c, n, k), time.time() // 86_400)


def by_year_day(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    return _changed(compute_columns(f, c, n, k), datetime.now().timetuple().tm_yday)


def by_environment(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    return _changed(compute_columns(f, c, n, k), len(os.environ.get("TZ", "")))


def in_single_precision(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    """Only where there are many rows, as a faster way would."""
    matrix = compute_columns(f, c, n, k)
    return matrix.astype(np.float32).astype(np.float64) if n > 1 else matrix


def broken(f: Features, c: Columns, n: int, k: Categories) -> Matrix:
    raise KeyError("a feature that is not there")
