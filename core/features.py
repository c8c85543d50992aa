"""Features of a request, one implementation for training and serving.

Each kind is a function over columns; online a request is a batch of one. An unknown value is NaN,
which the models take as such. Nothing here depends on other rows, the clock or the time zone.

A column is a sequence of facts, None where unknown. Where there are many rows it may be an array
instead, and gives the same bits: of float64 for numbers, truth values and the places of a category
(NaN where unknown), of datetime64 for times in UTC (NaT where unknown).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.contracts import Json

Matrix = npt.NDArray[np.float64]
Column = Sequence[Any] | npt.NDArray[Any]
NAN = float("nan")
_US_OF_HOUR = 3_600_000_000
_FIRST_WEEKDAY = 3  # of 1970-01-01, a Thursday


def _number(values: Column) -> Matrix:
    if isinstance(values, np.ndarray):
        return values.astype(np.float64)  # a copy, which a ratio may change
    return np.array([NAN if v is None else float(v) for v in values], dtype=np.float64)


def _log1p(values: Column) -> Matrix:
    """Sign-keeping log(1 + |x|)."""
    column = _number(values)
    logs: Matrix = np.sign(column) * np.log1p(np.abs(column))
    return logs


def _missing(values: Column) -> Matrix:
    if isinstance(values, np.ndarray):
        return _unknown(values).astype(np.float64)
    return np.array([float(v is None) for v in values], dtype=np.float64)


def _unknown(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    unknown: npt.NDArray[np.bool_]
    unknown = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    return unknown


def _of_times(values: npt.NDArray[Any], part: npt.NDArray[np.int64]) -> Matrix:
    parts: Matrix = part.astype(np.float64)
    parts[np.isnat(values)] = NAN
    return parts


def _hours(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Since 1970; the hour before it is -1."""
    hours: npt.NDArray[np.int64] = values.astype("datetime64[us]").astype(np.int64) // _US_OF_HOUR
    return hours


def _utc(values: Column, part: Callable[[datetime], int]) -> Matrix:
    return np.array(
        [
            NAN if v is None else float(part(datetime.fromisoformat(v).astimezone(UTC)))
            for v in values
        ],
        dtype=np.float64,
    )


def _hour(values: Column) -> Matrix:
    if isinstance(values, np.ndarray):
        return _of_times(values, _hours(values) % 24)
    return _utc(values, lambda moment: moment.hour)


def _weekday(values: Column) -> Matrix:
    """0 is Monday, in UTC."""
    if isinstance(values, np.ndarray):
        return _of_times(values, (_hours(values) // 24 + _FIRST_WEEKDAY) % 7)
    return _utc(values, lambda moment: moment.weekday())


def _length(values: Column) -> Matrix:
    return np.array([NAN if v is None else float(len(v)) for v in values], dtype=np.float64)


def _ratio(above: Column, below: Column) -> Matrix:
    """above / below; unknown where below is 0."""
    bottom = _number(below)
    bottom[bottom == 0] = NAN
    ratio: Matrix = _number(above) / bottom
    return ratio


def _differs(left: Column, right: Column) -> Matrix:
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        unlike: Matrix = (left != right).astype(np.float64)
        unlike[_unknown(left) | _unknown(right)] = NAN
        return unlike
    pairs = zip(left, right, strict=True)
    return np.array(
        [NAN if a is None or b is None else float(a != b) for a, b in pairs], dtype=np.float64
    )


NUMERIC = frozenset({"number", "integer", "boolean"})
ANY = frozenset({"number", "integer", "boolean", "category", "text", "time"})
KINDS: dict[str, tuple[Callable[..., Matrix], int, frozenset[str]]] = {
    "number": (_number, 1, NUMERIC),
    "log1p": (_log1p, 1, NUMERIC),
    "missing": (_missing, 1, ANY),
    "hour": (_hour, 1, frozenset({"time"})),
    "weekday": (_weekday, 1, frozenset({"time"})),
    "length": (_length, 1, frozenset({"text"})),
    "ratio": (_ratio, 2, NUMERIC),
    "differs": (_differs, 2, ANY),
    "category": (_number, 1, frozenset({"category"})),  # of the values' places, see compute
}


class FeatureSpec(BaseModel):
    """`{kind: ratio, of: [amount, usual_amount]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal[
        "number", "log1p", "missing", "hour", "weekday", "length", "ratio", "differs", "category"
    ]
    of: str | tuple[str, str]
    meaning: str = ""
    version: int = Field(default=1, ge=1)  # of this definition; its owner raises it
    owner: str = ""

    @field_validator("of")
    @classmethod
    def _right_number(cls, of: str | tuple[str, str], info: Any) -> str | tuple[str, str]:
        kind = info.data.get("kind")
        if kind and KINDS[kind][1] != (1 if isinstance(of, str) else 2):
            raise ValueError(f"a {kind} is of {KINDS[kind][1]} field(s)")
        return of

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.of,) if isinstance(self.of, str) else self.of

    def refuse_type(self, name: str, source: str, field_type: str) -> None:
        """Raises ValueError where this kind cannot read a field of that type."""
        admitted = KINDS[self.kind][2]
        if field_type not in admitted:
            raise ValueError(
                f"feature '{name}': a {self.kind} reads {', '.join(sorted(admitted))}, "
                f"and '{source}' is of type {field_type}"
            )


def compute(
    features: Mapping[str, FeatureSpec],
    rows: Sequence[Mapping[str, Json]],
    categories: Mapping[str, Sequence[str]],
) -> Matrix:
    """`compute_columns` over the facts of each row; online there is one."""
    sources = {source for feature in features.values() for source in feature.sources}
    columns = {source: [row.get(source) for row in rows] for source in sorted(sources)}
    return compute_columns(features, columns, len(rows), categories)


def compute_columns(
    features: Mapping[str, FeatureSpec],
    columns: Mapping[str, Column],
    rows: int,
    categories: Mapping[str, Sequence[str]],
) -> Matrix:
    """Shape (rows, features), float64, columns in the order of `features`, NaN where unknown.

    `categories` lists the values of each category field; a category becomes its place there.
    """
    computed = []
    for feature in features.values():
        sources = [columns[source] for source in feature.sources]
        if feature.kind == "category" and not isinstance(sources[0], np.ndarray):
            places = {value: place for place, value in enumerate(categories[feature.sources[0]])}
            sources = [[None if v is None else places[v] for v in sources[0]]]
        computed.append(KINDS[feature.kind][0](*sources))
    if not computed:
        return np.empty((rows, 0), dtype=np.float64)
    return np.column_stack(computed)


def digest(names: Sequence[str], row: Matrix) -> str:
    """Names and bytes of one row, so that a trace can show that two rows were the same."""
    content = "\0".join(names).encode() + np.ascontiguousarray(row, dtype="<f8").tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def digests(names: Sequence[str], rows: Matrix) -> list[str]:
    """`digest` of each row (n, features)."""
    start = hashlib.sha256("\0".join(names).encode())
    content = np.ascontiguousarray(rows, dtype="<f8").tobytes()
    width = 8 * rows.shape[1]
    told = []
    for place in range(len(rows)):
        own = start.copy()
        own.update(content[place * width : (place + 1) * width])
        told.append(own.hexdigest()[:16])
    return told
