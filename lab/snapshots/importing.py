"""A table of any size becomes Parquet in the order of time, a batch at a time.

The converted rows go to a file first, while only their times and numbers stay in memory (16 bytes
a row). Where they are in order already that file is copied through; otherwise it is mapped and its
rows are taken in the right order, a chunk at a time.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.clock import Clock
from core.errors import InvalidDocument
from core.spec import DecisionSpec
from lab.point_in_time import EventTable, entity_facts
from lab.snapshots.cells import Refuse
from lab.snapshots.convert import converted
from lab.snapshots.digests import ColumnDigest
from lab.snapshots.labels import Labels
from lab.snapshots.manifest import ColumnInfo
from lab.snapshots.ordering import Order, count_rows, in_order, order_of
from lab.snapshots.plan import SEQ, Plan
from lab.snapshots.read_table import RawBatch, Table, open_table, shown, still_marking

PART_ROWS = 1 << 20
TOLERANCE = timedelta(days=1)  # clocks and time zones of whoever wrote the table
Progress = Callable[[str, int, int], None]
_NUMBER = re.compile(r"-?[0-9]{1,18}")  # within 64 bits
Events = Mapping[str, EventTable]


@dataclass(frozen=True, kw_only=True)
class Imported:
    rows: int
    columns: Mapping[str, ColumnInfo]
    time_range: tuple[str, str] | None
    ignored: tuple[str, ...]


def import_table(
    spec: DecisionSpec,
    plan: Plan,
    data: Path,
    folder: Path,
    events: Events | None,
    named: Callable[[str], str] | None,
    clock: Clock,
    progress: Progress,
) -> Imported:
    """Writes part-*.parquet into `folder`. Raises InvalidDocument for what cannot be used."""
    table = open_table(data)
    raw = folder / "rows.arrow"
    times, numbers = _convert(plan, table, raw, clock, progress)
    rows = len(times if times is not None else numbers if numbers is not None else [])
    if times is None and numbers is None:
        rows = count_rows(raw)
    if not rows:
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY", f"{data} has no rows", way_out="Name a table with rows."
        )
    order = order_of(times, numbers, rows)
    writer = _Writer(spec, plan, folder, events, named)
    done = 0
    for batch in in_order(raw, order):
        writer.write(batch)
        done += batch.num_rows
        progress("writing the snapshot", done, rows)
    writer.close()
    raw.unlink()
    ordered = times if times is None or order is None else times[order]
    declared = {column.source for column in plan.read} | {SEQ}
    return Imported(
        rows=rows,
        columns=writer.columns,
        time_range=None if ordered is None else (_iso(ordered[0]), _iso(ordered[-1])),
        ignored=tuple(sorted(set(table.names) - declared)),
    )


def _convert(
    plan: Plan, table: Table, raw: Path, clock: Clock, progress: Progress
) -> tuple[Order | None, Order | None]:
    """Writes the converted rows; their times, and their own sequence numbers, where they have."""
    labels = Labels(plan.positive)
    latest = clock.now() + TOLERANCE
    categories = {
        column.source: column.field.values
        for column in plan.read
        if column.field and column.type == "category"
    }
    wanted = [column.source for column in plan.columns if column.source]
    times: list[Order] = []
    numbers: list[Order] = []
    markers = still_marking(categories.values()) if table.kind == "csv" else ()
    started = False
    with pa.OSFile(str(raw), "wb") as sink, pa.ipc.new_file(sink, plan.schema) as writer:
        for batch in table.batches(wanted, categories):
            if not started:
                _refuse_absent(plan, table)
                started = True
            refuse = _refusal(table, batch)
            arrays = [
                labels.of(column, _needed(column.source, batch), refuse)
                if column.role == "label"
                else converted(
                    column, batch.columns.get(column.source), batch.rows, refuse, markers
                )
                for column in plan.read
            ]
            made = pa.record_batch(arrays, schema=plan.schema)
            writer.write_batch(made)
            if plan.time:
                times.append(_times(made, plan.time, latest, refuse))
            own = batch.columns.get(SEQ)
            if own is not None and any(value is not None for value in own):
                numbers.append(_numbers(own, refuse))
            progress("reading the table", *table.progress())
    return (
        np.concatenate(times) if times else None,
        np.concatenate(numbers) if numbers else None,
    )


def _needed(source: str, batch: RawBatch) -> Any:
    values = batch.columns.get(source)
    return [None] * batch.rows if values is None else values


def _refuse_absent(plan: Plan, table: Table) -> None:
    """A key that JSON Lines lacks is null there; a table must have what is declared."""
    if table.kind == "jsonl":
        return
    missing = [c.source for c in plan.read if c.required and c.source not in table.names]
    if missing:
        raise InvalidDocument(
            "RUNG-TABLE-COLUMN",
            f"{table.path} has no column {shown(', '.join(missing))}",
            way_out=f"Its columns are: {shown(', '.join(table.names))}. Correct the table, or "
            "name the field's column in decision.yaml.",
        )


def _refusal(table: Table, batch: RawBatch) -> Refuse:
    def refuse(row: int, code: str, message: str, way_out: str) -> InvalidDocument:
        place = batch.first + row
        line = batch.lines[row] if batch.lines else table.line_of(place)
        where = "" if line else f"row {place + 1}: "
        return InvalidDocument(code, where + message, way_out=way_out, line=line)

    return refuse


def _times(batch: Any, name: str, latest: datetime, refuse: Refuse) -> Order:
    column = batch.column(name)
    if column.null_count:
        row = int(pc.index(pc.is_null(column), True).as_py())
        raise refuse(
            row,
            "RUNG-TABLE-CONTENT",
            f"training goes by time, and '{name}' is missing",
            "Fill it in, or leave the row out.",
        )
    moments: Order = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    limit = (latest - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    late = np.flatnonzero(moments > limit)
    if len(late):
        raise refuse(
            int(late[0]),
            "RUNG-TABLE-FUTURE",
            f"'{name}' lies in the future ({_iso(moments[late[0]])})",
            "Correct it: what was not yet cannot be trained on.",
        )
    return moments


def _numbers(values: Any, refuse: Refuse) -> Order:
    texts = [str(v) for v in (values if isinstance(values, list) else values.to_pylist())]
    bad = next((row for row, text in enumerate(texts) if not _NUMBER.fullmatch(text)), None)
    if bad is not None:
        raise refuse(
            bad, "RUNG-TABLE-CONTENT", f"'{SEQ}' is no whole number", "Number each row once."
        )
    return np.array([int(text) for text in texts], dtype=np.int64)


class _Writer:
    """Joins, numbers and digests what it writes."""

    def __init__(
        self,
        spec: DecisionSpec,
        plan: Plan,
        folder: Path,
        events: Events | None,
        named: Callable[[str], str] | None,
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._folder = folder
        self._events = events or {}
        self._named = named or (lambda entity: entity)
        self._digests = {column.name: ColumnDigest() for column in plan.columns}
        self._nulls = dict.fromkeys(self._digests, 0)
        self._rows = 0
        self._parts = 0
        self._file: Any = None

    def write(self, batch: Any) -> None:
        joined = self._joined(batch)
        arrays = []
        for column in self._plan.columns:
            if column.name == SEQ:
                array = pa.array(np.arange(self._rows, self._rows + batch.num_rows))
            elif column.role == "joined":
                array = pa.array(joined[column.name], pa.float64())
            else:
                array = batch.column(column.name)
            self._digests[column.name].add(array)
            self._nulls[column.name] += array.null_count
            arrays.append(array)
        if self._rows >= self._parts * PART_ROWS:
            self._open()
        self._file.write_batch(pa.record_batch(arrays, schema=self._plan.whole))
        self._rows += batch.num_rows

    def close(self) -> None:
        self._file.close()

    @property
    def columns(self) -> dict[str, ColumnInfo]:
        types = self._plan.types
        return {
            name: ColumnInfo(type=types[name], digest=own.hexdigest(), nulls=self._nulls[name])
            for name, own in self._digests.items()
        }

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        name = f"part-{self._parts:05d}.parquet"
        self._parts += 1
        texts = [c.name for c in self._plan.columns if c.type in ("text", "category")]
        self._file = pq.ParquetWriter(
            self._folder / name, self._plan.whole, compression="zstd", use_dictionary=texts
        )

    def _joined(self, batch: Any) -> Mapping[str, Sequence[float | None]]:
        if not self._spec.entities:
            return {}
        at = batch.column(str(self._plan.time)).to_pylist()
        ids = {
            key: [
                None if entity is None else self._named(entity)
                for entity in batch.column(key).to_pylist()
            ]
            for key in self._spec.entity_keys
        }
        return entity_facts(self._spec, self._events, ids, at)


def _iso(moment: Any) -> str:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return (epoch + timedelta(microseconds=int(moment))).isoformat()
