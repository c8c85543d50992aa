"""JSON Lines of objects, as strictly read as a request is; an absent key is null."""

import gzip
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, ClassVar

from core.contracts import Json
from core.errors import InvalidDocument
from core.json_source import parse_json
from lab.snapshots.read_table import Kind, RawBatch, unreadable

BATCH_ROWS = 1 << 14  # Python objects, some twenty times the size of what is kept


class JsonLinesTable:
    kind: ClassVar[Kind] = "jsonl"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._met: dict[str, None] = {}
        self._done = 0
        self._bytes = path.stat().st_size

    @property
    def names(self) -> list[str]:
        return list(self._met)

    def batches(
        self,
        wanted: Collection[str] | None = None,
        declared: Mapping[str, Collection[str]] = {},  # read only
    ) -> Iterator[RawBatch]:
        first = 0
        try:
            with self.path.open("rb") as raw:
                lines = enumerate(_plain(self.path, raw), start=1)
                while chunk := list(islice(lines, BATCH_ROWS)):
                    read = [(at, _object(line, at)) for at, line in chunk if line.strip()]
                    self._done = raw.tell()
                    if read:
                        yield self._batch(read, first, wanted)
                        first += len(read)
        except (OSError, EOFError) as error:
            raise unreadable(self.path, type(error).__name__) from error

    def progress(self) -> tuple[int, int]:
        return self._done, self._bytes

    def line_of(self, row: int) -> int | None:
        return None  # a batch knows the lines of its rows

    def _batch(
        self, read: list[tuple[int, dict[str, Json]]], first: int, wanted: Collection[str] | None
    ) -> RawBatch:
        for _, content in read:
            self._met.update(dict.fromkeys(content))
        names = self._met if wanted is None else wanted
        columns = {name: [content.get(name) for _, content in read] for name in names}
        lines = [line for line, _ in read]
        return RawBatch(columns=columns, first=first, rows=len(read), lines=lines)


def _plain(path: Path, raw: IO[bytes]) -> Any:
    return gzip.open(raw) if path.suffix == ".gz" else raw


def _object(line: bytes, at: int) -> dict[str, Json]:
    content = parse_json(line, line=at)
    if not isinstance(content, dict):
        raise InvalidDocument(
            "RUNG-TABLE-CONTENT",
            "a row is an object of columns",
            way_out="Write one JSON object a line.",
            line=at,
        )
    return content
