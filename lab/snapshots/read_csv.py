"""A CSV file with a header, parsed by pyarrow in blocks; the delimiter is what the header shows."""

import csv
import gzip
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import pyarrow as pa
from pyarrow import csv as arrow_csv

from core.errors import InvalidDocument
from lab.snapshots.read_table import (
    NULL_MARKERS,
    Kind,
    RawBatch,
    refuse_twice,
    shown,
    still_marking,
    unreadable,
)

DELIMITERS = (",", ";", "\t")
BLOCK_BYTES = 4 << 20  # longer than a row may be; some ten thousand rows of thirty numbers
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


class CsvTable:
    kind: ClassVar[Kind] = "csv"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.delimiter, self.names = _header(path)
        refuse_twice(path, self.names)
        self._source = pa.OSFile(str(path))
        self._bytes = path.stat().st_size

    def batches(
        self,
        wanted: Collection[str] | None = None,
        declared: Mapping[str, Collection[str]] = {},  # read only
    ) -> Iterator[RawBatch]:
        columns = [name for name in self.names if wanted is None or name in wanted]
        first = 0
        try:
            for batch in self._reader(columns, declared):
                arrays = {name: batch.column(place) for place, name in enumerate(columns)}
                yield RawBatch(columns=arrays, first=first, rows=batch.num_rows)
                first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise self._explained(error) from error

    def progress(self) -> tuple[int, int]:
        return self._source.tell(), self._bytes

    def line_of(self, row: int) -> int | None:
        try:
            with _text(self.path) as file:
                reader = csv.reader(file, delimiter=self.delimiter)
                rows = (reader.line_num for cells in reader if cells)
                return next(line for place, line in enumerate(rows) if place == row + 1)
        except (OSError, EOFError, UnicodeError, csv.Error, StopIteration):
            return None

    def _reader(self, columns: list[str], declared: Mapping[str, Collection[str]]) -> Any:
        kept = still_marking(declared.values())
        stream: Any = self._source
        if self.path.suffix == ".gz":
            stream = pa.CompressedInputStream(self._source, "gzip")
        return arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=columns,
                column_types={n: DICTIONARY if n in declared else pa.string() for n in columns},
                null_values=[marker for marker in NULL_MARKERS if marker not in kept],
                strings_can_be_null=True,
            ),
        )

    def _explained(self, error: Exception) -> InvalidDocument:
        """The first row that has not as many cells as the header, or what the parser says."""
        try:
            with _text(self.path) as file:
                reader = csv.reader(file, delimiter=self.delimiter)
                for cells in reader:
                    if cells and len(cells) != len(self.names):
                        return InvalidDocument(
                            "RUNG-TABLE-RAGGED",
                            f"{self.path}: the row has {len(cells)} cells, and the header "
                            f"{len(self.names)}",
                            way_out="Quote texts that hold a delimiter, a quote or a line break.",
                            line=reader.line_num,
                        )
        except (OSError, EOFError, UnicodeError, csv.Error) as found:
            return unreadable(self.path, f"{type(found).__name__}: {found}")
        return unreadable(self.path, str(error)[:120])


def _header(path: Path) -> tuple[str, list[str]]:
    """The delimiter under which the header has most names; a comma where that is undecided."""
    best: tuple[str, list[str]] = (",", [])
    try:
        for delimiter in DELIMITERS:
            with _text(path) as file:
                names = next((row for row in csv.reader(file, delimiter=delimiter) if row), [])
            if len(names) > len(best[1]):
                best = (delimiter, names)
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise unreadable(path, type(error).__name__) from error
    if not any(name.strip() for name in best[1]):
        raise InvalidDocument(
            "RUNG-TABLE-HEADER",
            f"{shown(str(path))} has no header",
            way_out="Name an existing UTF-8 CSV file whose first line names its columns.",
            line=1,
        )
    return best


def _text(path: Path) -> IO[str]:
    """Without the byte order mark that spreadsheets put first."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), "utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
