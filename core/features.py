"""Features of a request, one implementation for training and serving.

Each kind is a function over columns; online a request is a batch of one. An unknown value is NaN,
which the models take as such. Nothing here depends on other rows, the clock or the time zone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.contracts import Json

Column = Sequence[Any]
Matrix = npt.NDArray[np.float64]
NAN = float("nan")


def _number(values: Column) -> Matrix:
    return np.array([NAN if v is None else float(v) for v in values], dtype=np.float64)


def _log1p(values: Column) -> Matrix:
    """Sign-keeping log(1 + |x|)."""
    column = _number(values)
    logs: Matrix = np.sign(column) * np.log1p(np.abs(column))
    return logs


def _missing(values: Column) -> Matrix:
    return np.array([float(v is None) for v in values], dtype=np.float64)


def _utc(values: Column, part: Callable[[datetime], int]) -> Matrix:
    return np.array(
        [
            NAN if v is None else float(part(datetime.fromisoformat(v).astimezone(UTC)))
            for v in values
        ],
        dtype=np.float64,
    )


def _hour(values: Column) -> Matrix:
    return _utc(values, lambda moment: moment.hour)


def _weekday(values: Column) -> Matrix:
    """0 is Monday, in UTC."""
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
        if feature.kind == "category":
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
