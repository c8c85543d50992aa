"""One column of a table as its field admits it, and each cell that the field refuses.

The conversion is that of snapshots, which is held to the validation of a request. It refuses a
column by its first bad cell, so here the bad cells are found and it is asked of them alone: those
beyond the bounds or missing by their values, any other by halving the column until it stands alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidDocument
from lab.snapshots.convert import converted
from lab.snapshots.plan import ARROW_TYPES, PlannedColumn

# By the field's type, what a typed column may be; a text is read as each of them.
_TYPES: dict[str, tuple[Any, ...]] = {
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "integer": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "boolean": (pa.types.is_boolean, pa.types.is_integer),
    "category": (pa.types.is_integer, pa.types.is_boolean),
    "text": (pa.types.is_integer,),
    "time": (pa.types.is_timestamp, pa.types.is_date),
}
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)


@dataclass(frozen=True, kw_only=True)
class Rejected:
    code: str
    message: str


class ColumnReader:
    def __init__(self, column: PlannedColumn, markers: Sequence[str]) -> None:
        """`markers` are texts that mean nothing in a CSV file."""
        assert column.field is not None
        self._column = column
        self._field = column.field
        self._markers = markers
        free = column.field.model_copy(update={"min": None, "max": None, "missing": "unknown"})
        self._unbounded = replace(column, field=free)

    def read(self, values: Any, rows: int) -> tuple[Any, dict[int, Rejected]]:
        """An Arrow array (rows,), null where a cell is refused, and those cells.

        `values` are an Arrow array or a list of JSON values, or None where there is no column.
        Raises InvalidDocument for a typed column of which no cell could fit.
        """
        if values is None:
            values = pa.nulls(rows, pa.string())
        if not isinstance(values, list):
            self._refuse_type(values.type)
            if self._is_plain(values):
                return values.cast(pa.string()), {}
        try:
            return self._converted(self._column, values), {}
        except _BAD:
            return self._by_values(values)

    def _refuse_type(self, kind: Any) -> None:
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(admits(kind) for admits in (*_TEXTS, *_TYPES[self._column.type])):
            raise InvalidDocument(
                "RUNG-TABLE-TYPE",
                f"the column '{self._column.source}' holds {kind}, and the field is of type "
                f"{self._column.type}",
                way_out="Write the column in a type that its field can be read from.",
            )

    def _is_plain(self, values: Any) -> bool:
        """Whether all are texts that the field admits as they stand, and nobody redacts.

        A letter, digit or sign of ASCII shows that a text is not empty; others are read one by one.
        """
        field = self._field
        if self._column.type != "text" or self._column.redacted or not _is_string(values.type):
            return False
        if (values.null_count and field.missing == "refuse") or self._markers:
            return False
        seen = pc.match_substring_regex(values, "[!-~]")
        long = pc.greater(pc.utf8_length(values), field.max_length)
        good = pc.and_(seen, pc.invert(pc.or_(long, pc.match_substring(values, "\0"))))
        return bool(pc.all(good, min_count=0).as_py())

    def _by_values(self, values: Any) -> tuple[Any, dict[int, Rejected]]:
        """Refuses what is missing or beyond the bounds, where that is all that is wrong."""
        try:
            array = self._converted(self._unbounded, values)
        except _BAD:
            bad: dict[int, Rejected] = {}
            return pa.concat_arrays(self._halves(values, 0, len(values), bad)), bad
        wrong = np.zeros(len(values), dtype=bool)
        if self._field.missing == "refuse":
            wrong |= pc.is_null(array).to_numpy(zero_copy_only=False)
        for bound, beyond in ((self._field.min, pc.less), (self._field.max, pc.greater)):
            if bound is not None:
                wrong |= pc.fill_null(beyond(array, bound), False).to_numpy(zero_copy_only=False)
        refused = {int(row): self._refusal(values, int(row)) for row in np.flatnonzero(wrong)}
        return pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array), refused

    def _halves(self, values: Any, first: int, rows: int, bad: dict[int, Rejected]) -> list[Any]:
        try:
            return [self._converted(self._column, values[first : first + rows])]
        except _BAD as error:
            if rows == 1:
                bad[first] = self._told(error)
                return [pa.nulls(1, ARROW_TYPES[self._column.type])]
        half = rows // 2
        return [
            *self._halves(values, first, half, bad),
            *self._halves(values, first + half, rows - half, bad),
        ]

    def _refusal(self, values: Any, row: int) -> Rejected:
        try:
            self._converted(self._column, values[row : row + 1])
        except _BAD as error:
            return self._told(error)
        raise AssertionError(f"a cell of '{self._column.name}' is refused and admitted")

    def _told(self, error: Exception) -> Rejected:
        if isinstance(error, InvalidDocument):
            return Rejected(code=error.code, message=error.message)
        message = f"the field '{self._column.name}' holds a text that is not UTF-8"
        return Rejected(code="RUNG-FACTS-VALUE", message=message)

    def _converted(self, column: PlannedColumn, values: Any) -> Any:
        return converted(column, values, len(values), _refused, self._markers)


_BAD = (InvalidDocument, UnicodeDecodeError)


def _is_string(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _refused(row: int, code: str, message: str, way_out: str) -> InvalidDocument:
    return InvalidDocument(code, message, way_out=way_out)
