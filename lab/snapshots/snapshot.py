"""A stored snapshot, read only after its files were found to be what was written."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import CorruptArtifact, NotFound
from lab.snapshots.manifest import Manifest

BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    manifest: Manifest
    folder: Path
    _verified: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def rows(self) -> int:
        return self.manifest.rows

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """A pyarrow.Table in the order of `_seq`. Raises CorruptArtifact, NotFound for a column."""
        parts = [self._part(name, columns) for name in sorted(self.manifest.files)]
        return pa.concat_tables(parts)

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """Python values as core.features reads them; a time is ISO 8601 in UTC."""
        table = self.table(list(dict.fromkeys(names)))
        return {name: _values(table.column(name)) for name in names}

    def verify(self) -> None:
        """Raises CorruptArtifact where a file is missing or not what was written."""
        for name in self.manifest.files:
            self._verify(name)

    def batches(self, columns: Sequence[str] | None = None, rows: int = 1 << 16) -> Iterator[Any]:
        """Record batches in the order of `_seq`, one file in memory at a time."""
        for name in sorted(self.manifest.files):
            self._verify(name)
            file = pq.ParquetFile(self.folder / name)
            for batch in file.iter_batches(batch_size=rows, columns=self._known(columns)):
                yield batch if columns is None else batch.select(list(columns))

    def _part(self, name: str, columns: Sequence[str] | None) -> Any:
        self._verify(name)
        read = pq.read_table(self.folder / name, columns=self._known(columns))
        return read if columns is None else read.select(list(columns))

    def _known(self, columns: Sequence[str] | None) -> list[str] | None:
        unknown = sorted(set(columns or ()) - self.manifest.columns.keys())
        if unknown:
            raise NotFound(
                "RUNG-SNAPSHOT-COLUMN",
                f"snapshot {self.id[:12]} has no column '{unknown[0]}'",
                way_out="decision.yaml has changed since: make a snapshot of the table again.",
            )
        return None if columns is None else list(columns)

    def _verify(self, name: str) -> None:
        """The digest comes before the parser."""
        if name in self._verified:
            return
        told = hashlib.sha256()
        try:
            with (self.folder / name).open("rb") as file:
                while block := file.read(BLOCK):
                    told.update(block)
        except OSError as error:
            raise corrupt(self.id, f"{name} is missing") from error
        if told.hexdigest() != self.manifest.files[name].sha256:
            raise corrupt(self.id, f"{name} was changed")
        self._verified.add(name)


def corrupt(snapshot: str, why: str) -> CorruptArtifact:
    return CorruptArtifact(
        "RUNG-SNAPSHOT-CORRUPT",
        f"snapshot {snapshot[:12]} is not what was stored: {why}",
        way_out="Make it again from its table, or restore the home's snapshots from a copy.",
    )


def _values(column: Any) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # By way of numpy, as Arrow makes an object of the time zone for each.
        moments = column.to_numpy().astype("datetime64[us]").tolist()
        return [None if at is None else f"{at.isoformat()}+00:00" for at in moments]
    values: list[Any] = column.to_pylist()
    return values
