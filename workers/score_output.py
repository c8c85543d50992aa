"""Writes scores beside where they will stand, and puts them there once the last row is written.

The file beside is locked for as long as its writer lives, however that ends: so whoever writes the
same output next can tell what a killed one left, which nobody will finish, from what is being made.
"""

import errno
import fcntl
import glob
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from core.errors import Conflict, InvalidRequest, Unavailable
from core.whole_file import Sync, settle

MOMENT = pa.timestamp("us", "UTC")
WORDS = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("probability", pa.float64()),
        ("outcome", WORDS),
        ("rung", WORDS),
        ("release", WORDS),
        ("scored_at", MOMENT),
        ("expires_at", MOMENT),
        ("error", WORDS),
        ("error_message", pa.string()),
    ]
)
_PLAIN = pa.schema([(f.name, pa.string() if f.type == WORDS else f.type) for f in SCHEMA])
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_DIGITS = 8  # of the random part in the name of a file beside


class Writer(Protocol):
    def write(self, batch: Any) -> None: ...

    def close(self) -> None: ...


class Output:
    """A file of scores, by the suffix of its name, that is whole or not there."""

    def __init__(self, path: Path, *, overwrite: bool, sync: Sync = os.fsync) -> None:
        """Raises Conflict for a file that is there already, InvalidRequest for another format."""
        self.path = path
        self._overwrite = overwrite
        self._sync = sync
        self._make = _WRITERS.get(path.suffix.lower())
        if self._make is None:
            raise InvalidRequest(
                "RUNG-OUTPUT-FORMAT",
                f"{path} is no table by its name",
                way_out="Name a .parquet, .csv, .jsonl or .ndjson file.",
            )
        self._refuse_existing()

    def __enter__(self) -> Self:
        assert self._make is not None
        with _told(self.path):
            _remove_left(self.path)
            self._aside, self._lock = _locked_beside(self.path)
            try:
                self._writer: Writer = self._make(self._aside)
            except BaseException:
                self._let_go()
                raise
        return self

    def write(self, batch: Any) -> None:
        """Raises Unavailable where the disk is full."""
        with _told(self.path):
            self._writer.write(batch)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with _told(self.path):
                self._writer.close()
                if kind is None:
                    self._put()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._aside.unlink(missing_ok=True)
        os.close(self._lock)

    def _put(self) -> None:
        self._refuse_existing()  # another may have written it meanwhile
        self._sync(self._lock)
        os.replace(self._aside, self.path)
        settle(self.path.parent, sync=self._sync)

    def _refuse_existing(self) -> None:
        if self.path.is_dir() or (self.path.exists() and not self._overwrite):
            raise Conflict(
                "RUNG-OUTPUT-EXISTS",
                f"{self.path} is there already",
                way_out="Name another file, or write over it with --overwrite.",
            )


def _locked_beside(path: Path) -> tuple[Path, int]:
    """A new file, and what keeps it locked while it is open."""
    while True:
        aside = path.with_name(f".{path.name}.{secrets.token_hex(_DIGITS // 2)}.part")
        lock = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        with suppress(OSError):  # a file system without locks: nobody can take it for left there
            fcntl.flock(lock, fcntl.LOCK_EX)
        if aside.exists():
            return aside, lock
        os.close(lock)  # before it was locked, another writer took it for left


def _remove_left(path: Path) -> None:
    """What killed writers of this output left behind."""
    name = f".{glob.escape(path.name)}.{'[0-9a-f]' * _DIGITS}.part"
    for left in path.parent.glob(name):
        with suppress(OSError), left.open("rb+") as file:  # it is being written, or not ours
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink(missing_ok=True)


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetWriter(path, _PLAIN, compression="zstd")

    def write(self, batch: Any) -> None:
        self._file.write_batch(batch.cast(_PLAIN))

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path) -> None:
        self._file = arrow_csv.CSVWriter(str(path), _PLAIN)

    def write(self, batch: Any) -> None:
        self._file.write_batch(batch.cast(_PLAIN))

    def close(self) -> None:
        self._file.close()


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii")

    def write(self, batch: Any) -> None:
        for row in batch.cast(_PLAIN).to_pylist():
            for name in ("scored_at", "expires_at"):
                row[name] = None if row[name] is None else row[name].isoformat()
            self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


_WRITERS: dict[str, Any] = {
    ".parquet": _Parquet,
    ".csv": _Csv,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
}


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise (Unavailable if full else InvalidRequest)(
            "RUNG-OUTPUT-WRITE",
            f"{path} cannot be written ({error.strerror or type(error).__name__})",
            way_out="Make space on its disk, and score again."
            if full
            else "Name a file in a folder that exists and is writable.",
        ) from error
