"""The label of a row: whether its cell is what decision.yaml calls positive."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidDocument
from lab.snapshots.cells import Refuse
from lab.snapshots.plan import PlannedColumn

MOST_VALUES = 2


class Labels:
    """Remembers the values of all batches: a third one means that the label is no yes or no."""

    def __init__(self, positive: str | int | bool) -> None:
        self._positive = positive
        self._met: set[str] = set()

    def of(self, column: PlannedColumn, values: Any, refuse: Refuse) -> Any:
        """int64 of 0 and 1."""
        texts = _texts(values)
        if texts.null_count:
            row = int(pc.index(pc.is_null(texts), True).as_py())
            raise refuse(
                row,
                "RUNG-FACTS-NULL",
                f"the label '{column.name}' is missing",
                "Fill it in, or leave the row out.",
            )
        different = pc.unique(texts).to_pylist()
        self._met |= set(different)
        if len(self._met) > MOST_VALUES:
            shown = ", ".join(sorted(self._met)[:5])
            raise InvalidDocument(
                "RUNG-RISK-LABELS",
                f"the label '{column.name}' has more than {MOST_VALUES} values: {shown[:200]}",
                way_out="Name a column that says yes or no, and risk.positive.",
            )
        positive = [text for text in different if self._is_positive(text)]
        return pc.is_in(texts, pa.array(positive, pa.string())).cast(pa.int64())

    def _is_positive(self, text: str) -> bool:
        if isinstance(self._positive, bool):
            return text.lower() == str(self._positive).lower()
        if text == str(self._positive):
            return True
        try:
            return float(text) == float(self._positive)
        except ValueError:
            return False


def _texts(values: Any) -> Any:
    if isinstance(values, list):
        return pa.array([None if v is None else _text(v) for v in values], pa.string())
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    texts = array.cast(pa.string())
    return pc.utf8_trim_whitespace(texts)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
