"""Labelled texts from a CSV file, refused whole where a row cannot be used."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InvalidDocument
from core.spec.request import MAX_TEXT

MAX_CLASSES = 2_000  # beyond it the label column is an id or the text itself
MAX_SLICES = 200  # values of one slice column, for the same reason


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    """`slices` holds the values of each slice column, row by row."""

    texts: list[str]
    labels: list[str]
    slices: Mapping[str, list[str]] = field(default_factory=dict)


def read_labelled_texts(
    path: Path, *, text: str, label: str, slices: Sequence[str] = ()
) -> LabelledTexts:
    """Rows in an order of their own (by text, then label), so that the file's order is no input.

    Raises InvalidDocument with the line, and reads nothing where one row cannot be used.
    """
    rows = _rows(path)
    header = _header(path, rows)
    wanted = [text, label, *dict.fromkeys(slices)]
    missing = [name for name in wanted if name not in header]
    if missing:
        raise InvalidDocument(
            "RUNG-TABLE-COLUMN",
            f"{path} has no column {_shown(', '.join(missing))}",
            way_out=f"Its columns are: {_shown(', '.join(header))}.",
        )
    places = [header.index(name) for name in wanted]
    kept = []
    for line, row in rows:
        if len(row) != len(header):
            raise InvalidDocument(
                "RUNG-TABLE-RAGGED",
                f"{path}: the row has {len(row)} cells, and the header {len(header)}",
                way_out="Quote texts that hold a comma, a quote or a line break.",
                line=line,
            )
        cells = [row[place] for place in places]
        _refuse_cells(path, wanted, cells, line)
        kept.append(cells)
    if not kept:
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY", f"{path} has no rows", way_out="Name a file with rows."
        )
    kept.sort()
    for place, most in ((1, MAX_CLASSES), *((i, MAX_SLICES) for i in range(2, len(wanted)))):
        _refuse_many(path, wanted[place], {cells[place] for cells in kept}, most)
    columns = [list(column) for column in zip(*kept, strict=True)]
    return LabelledTexts(
        texts=columns[0],
        labels=columns[1],
        slices=dict(zip(wanted[2:], columns[2:], strict=True)),
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line on which a row ends, and its cells. Blank lines are no rows."""
    line = 1
    try:
        # A byte order mark is what spreadsheets put first; it is no part of a column's name.
        content = path.read_bytes().decode("utf-8-sig")
        if "\0" in content:
            line = content[: content.index("\0")].count("\n") + 1
            raise ValueError("a NUL")
        reader = csv.reader(io.StringIO(content, newline=""), strict=True)
        for row in reader:
            line = reader.line_num
            if row:
                yield line, row
    except (OSError, UnicodeError, ValueError, csv.Error) as error:
        told = str(error) if isinstance(error, csv.Error) else error.__class__.__name__
        raise InvalidDocument(
            "RUNG-TABLE-READ",
            f"{path} cannot be read as CSV ({told})",
            way_out="Name an existing UTF-8 CSV file with a header, no NUL and no vast cell.",
            line=None if isinstance(error, OSError) else line,
        ) from error


def _header(path: Path, rows: Iterator[tuple[int, list[str]]]) -> list[str]:
    _, header = next(rows, (0, []))
    if not header:
        raise InvalidDocument(
            "RUNG-TABLE-READ",
            f"{path} has no header",
            way_out="Name an existing UTF-8 CSV file with a header.",
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidDocument(
            "RUNG-TABLE-HEADER",
            f"{path} has the column '{_shown(twice[0])}' more than once",
            way_out="Give each column a name of its own.",
            line=1,
        )
    return header


def _refuse_cells(path: Path, names: Sequence[str], cells: Sequence[str], line: int) -> None:
    for name, cell in zip(names, cells, strict=True):
        if len(cell) > MAX_TEXT:
            raise InvalidDocument(
                "RUNG-TABLE-CELL",
                f"{path}: {name} is longer than {MAX_TEXT} characters",
                way_out="Shorten it: an intent is known by a message, not by a document.",
                line=line,
            )
    for name, cell in zip(names[:2], cells[:2], strict=True):
        if not cell.strip():
            raise InvalidDocument(
                "RUNG-TABLE-EMPTY",
                f"{path}: the {name} is empty",
                way_out="Fill it in or remove the row.",
                line=line,
            )


def _refuse_many(path: Path, name: str, values: set[str], most: int) -> None:
    if len(values) > most:
        raise InvalidDocument(
            "RUNG-TABLE-VALUES",
            f"{path}: the column '{_shown(name)}' has {len(values)} values, more than {most}",
            way_out="Name a column of classes; this one looks like an id or a text.",
        )


def _shown(text: str) -> str:
    return text[:200].encode("ascii", "backslashreplace").decode()
