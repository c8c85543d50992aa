"""What the columns of a table look like: their kind, their values, and how much is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidDocument
from core.spec.request import MAX_TEXT
from lab.snapshots.plan import SEQ
from lab.snapshots.read_table import RawBatch, open_table

MOST_VALUES = 500  # of a category; beyond it the column is an id or a text
MOST_LETTERS = 20_000  # of all values of a category together: the file is read by people
FEW_ROWS_A_VALUE = 2  # texts that hardly repeat are no categories
# What dates look like in exports; where several fit every cell, the first is drafted.
FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d-%b-%y",
)
Kind = Literal["text", "category", "number", "integer", "boolean", "time"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """`values` are all that were met of a category or, up to MOST_VALUES, of anything else."""

    name: str
    kind: Kind
    rows: int
    nulls: int
    values: tuple[str, ...] = ()
    distinct_beyond: bool = False  # more than MOST_VALUES
    formats: tuple[str, ...] = ()  # of a time: each fits every cell
    longest: int = 0
    one_word: bool = True  # no cell has a space in it, as in an id
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0

    @property
    def constant(self) -> bool:
        return not self.distinct_beyond and len(self.values) < 2

    @property
    def codes(self) -> bool:
        """Whether a whole number has gaps and few values, as the code of an agency does."""
        return self.kind == "integer" and self.nulls > 0 and len(self.values) > 20

    @property
    def has_hours(self) -> bool:
        return not self.formats or "%H" in self.formats[0]


def profiles_of(path: Path, progress: Progress = lambda *_: None) -> dict[str, Profile]:
    """Every column but `_seq`, in the table's order. Raises InvalidDocument."""
    table = open_table(path)
    columns: dict[str, _Column] = {}
    rows = 0
    for batch in table.batches():
        for name in batch.columns:
            if name != SEQ and name not in columns:
                columns[name] = _Column(name, missed=rows, by_text=table.kind == "csv")
        for name, column in columns.items():
            column.add(_array(batch, name))
        rows += batch.rows
        progress("reading the table", *table.progress())
    if not rows or not columns:
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY", f"{path} has no rows", way_out="Name a table with rows."
        )
    return {name: column.profile(rows) for name, column in columns.items()}


def in_order(path: Path, profile: Profile) -> bool:
    """Whether the rows stand in the order of this time, which is then when they happened."""
    written = profile.formats[0] if profile.formats else ""
    latest = float("-inf")
    for batch in open_table(path).batches([profile.name]):
        array = _array(batch, profile.name)
        if pa.types.is_timestamp(array.type):
            moments = array.cast(pa.timestamp("us", array.type.tz), safe=False).cast(pa.int64())
        else:
            texts = array.cast(pa.string()).dictionary_encode()
            each = [_seconds(text.strip(), written) for text in texts.dictionary.to_pylist()]
            moments = pa.array(each, pa.float64()).take(texts.indices)
        values = moments.cast(pa.float64()).to_numpy(zero_copy_only=False)
        if values[0] < latest or (np.diff(values) < 0).any():
            return False
        latest = values[-1]
    return True


def _array(batch: RawBatch, name: str) -> Any:
    values = batch.columns.get(name)
    if values is None:
        return pa.nulls(batch.rows)
    if not isinstance(values, list):
        return values
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int, float} or (len(kinds) < 2 and not kinds & {list, dict}):
        try:
            return pa.array(values, pa.float64() if float in kinds else None)
        except (pa.ArrowInvalid, OverflowError):
            pass  # an integer beyond 64 bits is told as a text
    return pa.array([None if value is None else str(value) for value in values])


class _Column:
    """Forgets a kind as soon as a cell does not fit it."""

    def __init__(self, name: str, missed: int, by_text: bool) -> None:
        self._name = name
        self._by_text = by_text  # whether a text may stand for a number
        self._nulls = missed
        self._values: dict[str, None] | None = {}
        self._kinds: list[Kind] = ["integer", "number", "boolean", "time"]
        self._formats = ["", *FORMATS]  # "" is ISO 8601 with a zone
        self._longest = 0
        self._one_word = True
        self._known = 0
        self._sum, self._low, self._high = 0.0, float("inf"), float("-inf")

    def add(self, array: Any) -> None:
        self._nulls += array.null_count
        array = array.drop_null()
        if pa.types.is_floating(array.type):
            missing = int(pc.sum(pc.is_nan(array)).as_py() or 0)
            self._nulls += missing
            array = array.filter(pc.invert(pc.is_nan(array))) if missing else array
        if not len(array):
            return
        self._known += len(array)
        self._narrow(array)
        texts = array.cast(pa.string())
        self._longest = max(self._longest, pc.max(pc.utf8_length(texts)).as_py())
        self._one_word &= not pc.any(pc.match_substring(texts, " ")).as_py()
        if self._values is not None:
            self._values.update(dict.fromkeys(pc.unique(texts).to_pylist()))
            if len(self._values) > MOST_VALUES:
                self._values = None

    def profile(self, rows: int) -> Profile:
        kind = self._kind()
        return Profile(
            name=self._name,
            kind=kind,
            rows=rows,
            nulls=self._nulls,
            values=tuple(sorted(self._values or ())),
            distinct_beyond=self._values is None,
            formats=tuple(f for f in self._formats if f) if kind == "time" else (),
            longest=min(self._longest, MAX_TEXT),
            one_word=self._one_word,
            low=self._low if self._known else 0.0,
            high=self._high if self._known else 0.0,
            mean=self._sum / self._known if self._known else 0.0,
        )

    def _kind(self) -> Kind:
        if not self._known:
            return "text"
        if self._kinds:
            return self._kinds[0]
        values = self._values
        if values is None or len(values) * FEW_ROWS_A_VALUE > self._known:
            return "text"
        readable = all(value.isprintable() and value.strip() for value in values)
        return "category" if readable and sum(map(len, values)) <= MOST_LETTERS else "text"

    def _narrow(self, array: Any) -> None:
        kind = array.type
        if pa.types.is_dictionary(kind):
            array = array.cast(pa.string())
            kind = array.type
        if pa.types.is_boolean(kind):
            self._keep("boolean")
        elif pa.types.is_timestamp(kind):
            self._keep("time")
            self._formats = [""] if kind.tz else ["%Y-%m-%d %H:%M:%S"]
        elif pa.types.is_integer(kind):
            self._keep("integer", "number")
            self._numbers(array)
        elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            self._keep("number")
            self._numbers(array)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self._of_texts(array.cast(pa.string()))
        else:
            self._keep()

    def _keep(self, *kinds: Kind) -> None:
        self._kinds = [kind for kind in self._kinds if kind in kinds]

    def _of_texts(self, texts: Any) -> None:
        if not self._by_text:
            self._keep("time")
        if "integer" in self._kinds or "number" in self._kinds:
            numbers = _cast(pc.utf8_trim_whitespace(texts), pa.float64())
            if numbers is None:
                self._kinds = [k for k in self._kinds if k not in ("integer", "number")]
            else:
                self._numbers(numbers)
        different = pc.unique(texts).to_pylist() if self._kinds else []
        if "boolean" in self._kinds and not {v.lower() for v in different} <= {"true", "false"}:
            self._kinds.remove("boolean")
        if "time" in self._kinds:
            self._formats = [f for f in self._formats if _all_times(different, f)]
            if not self._formats:
                self._kinds.remove("time")

    def _numbers(self, array: Any) -> None:
        numbers = array.cast(pa.float64())
        if not pc.all(pc.is_finite(numbers)).as_py():
            self._kinds = [k for k in self._kinds if k not in ("integer", "number")]
            return
        whole = pc.all(pc.equal(numbers, pc.floor(numbers))).as_py()
        exact = pc.max(pc.abs(numbers)).as_py() < 2**53
        if not (whole and exact) and "integer" in self._kinds:
            self._kinds.remove("integer")
        self._sum += pc.sum(numbers).as_py()
        self._low = min(self._low, pc.min(numbers).as_py())
        self._high = max(self._high, pc.max(numbers).as_py())


def _cast(texts: Any, kind: Any) -> Any:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return None


def _all_times(texts: Sequence[str], written: str) -> bool:
    return all(_is_time(text.strip(), written) for text in texts)


def _is_time(text: str, written: str) -> bool:
    try:
        if written:
            return datetime.strptime(text, written) is not None
        return len(text) > 10 and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _seconds(text: str, written: str) -> float:
    moment = datetime.strptime(text, written) if written else datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
