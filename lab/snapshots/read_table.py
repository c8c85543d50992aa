"""Tables of any size as batches of raw columns: CSV, JSON Lines and Parquet, as their suffix says.

A cell of a CSV file stays the text that stands there, but the null markers are null. A value of
JSON Lines stays a Python value, so that 1, 1.0, "1" and true are told apart as a request's are.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import InvalidDocument

# What writers of CSV put for "nothing": databases, pandas, R and spreadsheets.
NULL_MARKERS = ("", "NULL", "null", "NA", "N/A", "NaN", "nan")


def still_marking(declared: Iterable[Collection[str]]) -> tuple[str, ...]:
    """The markers that some category declares as a value, so that they are cells at first."""
    values = {value for those in declared for value in those}
    return tuple(marker for marker in NULL_MARKERS if marker in values)


Kind = Literal["csv", "jsonl", "parquet"]
_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
MOST_SHOWN = 400  # characters of a list of names
PARQUET_ROWS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class RawBatch:
    """`columns` by the table's names: Arrow arrays, or lists of Python values for JSON Lines."""

    columns: Mapping[str, Any]
    first: int  # the place of its first row, from 0
    rows: int
    lines: Sequence[int] | None = None  # of JSON Lines: where each row stands


class Table(Protocol):
    kind: ClassVar[Kind]
    path: Path

    @property
    def names(self) -> list[str]:
        """The columns there are; of JSON Lines, those met so far."""
        ...

    def batches(
        self, wanted: Collection[str] | None = None, declared: Mapping[str, Collection[str]] = ...
    ) -> Iterator[RawBatch]:
        """The `wanted` columns, or all. `declared` are the values of those that are categories.

        Raises InvalidDocument where the file is not what its suffix says.
        """
        ...

    def progress(self) -> tuple[int, int]:
        """How much of how much was read."""
        ...

    def line_of(self, row: int) -> int | None:
        """The line from 1 on which row `row` (from 0) ends; None where there are no lines."""
        ...


def open_table(path: Path) -> Table:
    """Raises InvalidDocument where the file is absent, or of another kind."""
    from lab.snapshots.read_csv import CsvTable
    from lab.snapshots.read_json_lines import JsonLinesTable

    plain = path.with_suffix("") if path.suffix == ".gz" else path
    kind = _SUFFIXES.get(plain.suffix.lower())
    if kind is None or (kind == "parquet" and plain != path):
        raise InvalidDocument(
            "RUNG-TABLE-FORMAT",
            f"{path} is no table by its name",
            way_out="Name a .csv, .tsv, .jsonl or .ndjson file (also .gz), or a .parquet file.",
        )
    try:
        if not path.is_file():
            raise FileNotFoundError
        if kind == "csv":
            return CsvTable(path)
        return JsonLinesTable(path) if kind == "jsonl" else ParquetTable(path)
    except OSError as error:
        raise unreadable(path, type(error).__name__) from error


class ParquetTable:
    kind: ClassVar[Kind] = "parquet"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
            self.names: list[str] = list(self._file.schema_arrow.names)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(path, "no Parquet file") from error
        refuse_twice(path, self.names)
        self._done = 0

    def batches(
        self,
        wanted: Collection[str] | None = None,
        declared: Mapping[str, Collection[str]] = {},  # read only
    ) -> Iterator[RawBatch]:
        columns = [name for name in self.names if wanted is None or name in wanted]
        try:
            for batch in self._file.iter_batches(batch_size=PARQUET_ROWS, columns=columns):
                arrays = {name: batch.column(name) for name in columns}
                yield RawBatch(columns=arrays, first=self._done, rows=batch.num_rows)
                self._done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, str(error)[:120]) from error

    def progress(self) -> tuple[int, int]:
        return self._done, self._file.metadata.num_rows

    def line_of(self, row: int) -> int | None:
        return None


def unreadable(path: Path, why: str, line: int | None = None) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-TABLE-READ",
        f"{path} cannot be read as a table ({shown(why)})",
        way_out="Name an existing UTF-8 CSV with a header, JSON Lines or Parquet file.",
        line=line,
    )


def refuse_twice(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidDocument(
            "RUNG-TABLE-HEADER",
            f"{path} has the column '{shown(twice[0])}' more than once",
            way_out="Give each column a name of its own.",
            line=1,
        )


def shown(text: str) -> str:
    cut = f"{text[:MOST_SHOWN]} ..." if len(text) > MOST_SHOWN else text
    return cut.encode("ascii", "backslashreplace").decode()
