"""A column of a snapshot as arrays: numbers with NaN, or codes into sorted levels with -1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
DAY_US = 86_400_000_000


@dataclass(frozen=True, kw_only=True)
class Values:
    """`numbers` of number, integer, boolean and time (days since 1970 in UTC); else `codes`.

    Unknown is NaN, or -1. Levels are in the order of their text, so that the rows' has no say.
    """

    kind: str
    numbers: Floats | None = None
    codes: Codes | None = None
    levels: tuple[str, ...] = ()

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    @property
    def distinct(self) -> int:
        if self.numbers is not None:
            return len(np.unique(self.numbers[~np.isnan(self.numbers)]))
        return len(self.levels)

    def shares(self) -> dict[str, float]:
        """Of all rows, that each known value has, by its text."""
        codes, places = self.as_codes()
        counts = np.bincount(codes, minlength=places)[:-1] / max(len(codes), 1)
        levels: Sequence[str] = self.levels
        if self.numbers is not None:
            levels = [f"{number:g}" for number in np.unique(self.numbers[~self.unknown])]
        return {level: float(part) for level, part in zip(levels, counts, strict=True) if part}

    def as_codes(self) -> tuple[Codes, int]:
        """A place for each value, and how many places there are; unknown has the last."""
        if self.codes is not None:
            places = len(self.levels)
            return np.where(self.codes < 0, places, self.codes), places + 1
        assert self.numbers is not None
        known = ~np.isnan(self.numbers)
        levels, inverse = np.unique(self.numbers[known], return_inverse=True)
        codes = np.full(len(self.numbers), len(levels), dtype=np.intp)
        codes[known] = inverse
        return codes, len(levels) + 1


def read_values(kind: str, column: pa.ChunkedArray) -> Values:
    """`kind` is the type of the field; a value that is not of it counts as unknown."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if kind in ("category", "text"):
        return _coded(kind, column)
    if kind == "time":
        return Values(kind=kind, numbers=_days(column))
    return Values(kind=kind, numbers=_numbers(column))


def _coded(kind: str, column: pa.ChunkedArray) -> Values:
    texts = column if pa.types.is_string(column.type) else column.cast(pa.string())
    encoded = pc.dictionary_encode(texts).combine_chunks()
    found = [] if not len(texts) else encoded.dictionary.to_pylist()
    if not found:
        return Values(kind=kind, codes=np.full(len(texts), -1, dtype=np.intp))
    order = sorted(range(len(found)), key=lambda place: found[place])
    place_of = np.empty(len(found) + 1, dtype=np.intp)
    place_of[order] = np.arange(len(found))
    place_of[-1] = -1  # index -1 stands for null and reads the last
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Values(kind=kind, codes=place_of[indices], levels=tuple(found[place] for place in order))


def _days(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        microseconds = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return _numbers(microseconds) / DAY_US
    return np.array([_day(value) for value in column.to_pylist()], dtype=np.float64)


def _day(value: Any) -> float:
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() / 86_400
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _numbers(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_string(column.type):
        return np.array([to_number(value) for value in column.to_pylist()], dtype=np.float64)
    cast = column.cast(pa.float64(), safe=False)
    numbers: Floats = cast.to_numpy().astype(np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def to_number(value: Any) -> float:
    """NaN where `value` is no finite number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def as_days(year: Floats, month: Floats, day: Floats) -> Floats:
    """Days since 1970 of each date; NaN where a part is unknown or there is no such day."""
    parts = np.stack([year, month, day])
    whole = np.isfinite(parts).all(axis=0) & (parts == np.floor(parts)).all(axis=0)
    days = np.full(len(year), np.nan)
    distinct, inverse = np.unique(parts[:, whole], axis=1, return_inverse=True)
    found = np.array([_ordinal(*column) for column in distinct.T.tolist()], dtype=np.float64)
    days[whole] = found[inverse.ravel()] if len(found) else np.nan
    return days


def _ordinal(year: float, month: float, day: float) -> float:
    try:
        return float((date(int(year), int(month), int(day)) - date(1970, 1, 1)).days)
    except (ValueError, OverflowError):
        return math.nan


def text_lengths(levels: Sequence[str], codes: Codes) -> Floats:
    """Characters of each row's text; NaN where unknown."""
    of_level = np.array([*(len(level) for level in levels), np.nan], dtype=np.float64)
    return of_level[codes]
