"""Rows of a table become admitted facts, column by column; those that do not fit are told."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidDocument
from core.identity.redaction import redact
from core.spec import DecisionSpec
from lab.snapshots.plan import PlannedColumn, plan_of
from lab.snapshots.read_table import RawBatch, Table, shown, still_marking
from router.batch_facts import FactColumns
from workers.score_cells import ColumnReader, Rejected

Named = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """`places` are the rows that fit, in their order; `columns` and `ids` are of those alone.

    `ids` holds each entity, and the key of the scores where it is a text, as it was sent.
    """

    rows: int
    places: npt.NDArray[np.intp]
    columns: FactColumns
    ids: Mapping[str, Any]
    rejected: Mapping[int, Rejected]


class RowReader:
    """Reads the columns that exist at prediction time, as decision.yaml names them in tables."""

    def __init__(
        self, spec: DecisionSpec, table: Table, named: Named, reads: Collection[str]
    ) -> None:
        """`named` gives an entity its pseudonym; `reads` are the facts that anybody reads."""
        fields = spec.request.fields
        self._spec = spec
        self._table = table
        self._named = named
        self._reads = frozenset(reads)
        key = spec.scores.key if spec.scores else None
        # A key that looks like a card's number must not become the same placeholder as all others.
        self._raw = {key} if key and fields[key].type == "text" else set()
        self._planned = tuple(
            self._unredacted(column)
            for column in plan_of(spec).read
            if column.name in fields and fields[column.name].available
        )
        self.sources = [column.source for column in self._planned]
        self.declared = {
            column.source: column.field.values
            for column in self._planned
            if column.field and column.type == "category"
        }
        markers = still_marking(self.declared.values()) if table.kind == "csv" else ()
        self._columns = {column.name: ColumnReader(column, markers) for column in self._planned}

    def refuse_absent(self) -> None:
        """A key that JSON Lines lacks is null there; a table must have what is declared."""
        missing = [name for name in self.sources if name not in self._table.names]
        if self._table.kind != "jsonl" and missing:
            raise InvalidDocument(
                "RUNG-TABLE-COLUMN",
                f"{self._table.path} has no column {shown(', '.join(missing))}",
                way_out=f"Its columns are: {shown(', '.join(self._table.names))}. Correct the "
                "table, or name the field's column in decision.yaml.",
            )

    def admitted(self, batch: RawBatch) -> Admitted:
        """Raises InvalidDocument for a column whose type no cell of which could fit."""
        arrays: dict[str, Any] = {}
        rejected: dict[int, Rejected] = {}
        for column in self._planned:  # by name, as in a request: the first bad field is told
            values = batch.columns.get(column.source)
            array, bad = self._columns[column.name].read(values, batch.rows)
            arrays[column.name] = array
            rejected = bad | rejected
        good = np.ones(batch.rows, dtype=bool)
        good[list(rejected)] = False
        places = np.flatnonzero(good)
        if rejected:
            arrays = {name: array.take(pa.array(places)) for name, array in arrays.items()}
        return Admitted(
            rows=batch.rows,
            places=places,
            columns=self._facts(arrays, batch, places),
            ids={name: arrays[name] for name in self._spec.entity_keys | self._raw},
            rejected=dict(sorted(rejected.items())),
        )

    def _unredacted(self, column: PlannedColumn) -> PlannedColumn:
        """Redaction costs 10 µs a text: where nobody reads it, it need only be valid."""
        later = column.name in self._raw or column.name not in self._reads
        return replace(column, redacted=False) if later else column

    def _facts(
        self, arrays: Mapping[str, Any], batch: RawBatch, places: npt.NDArray[np.intp]
    ) -> FactColumns:
        facts, moments = {}, {}
        for column in self._planned:
            name, array = column.name, arrays[column.name]
            if column.type == "time":
                moments[name] = array
            if name not in self._reads and name != self._key:
                continue
            if column.type == "time":
                array = _as_sent(column, batch.columns.get(column.source), array, places)
            elif name in self._spec.entity_keys:
                array = each_text(array, self._named)
            elif name in self._raw:
                array = each_text(array, lambda text: redact(text).text)
            facts[name] = array
        return FactColumns(rows=len(places), facts=facts, moments=moments)

    @property
    def _key(self) -> str | None:
        """A key that is no text is found among the facts."""
        scores = self._spec.scores
        return scores.key if scores and scores.key not in self._raw else None


def each_text(array: Any, made: Callable[[str], str]) -> Any:
    """`made` of each different text; null stays null."""
    encoded = array.dictionary_encode()
    texts = pa.array([made(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return texts.take(encoded.indices)


def datetimes(moments: Any) -> list[Any]:
    """By way of numpy, as Arrow makes an object of the time zone for each."""
    plain = moments.to_numpy(zero_copy_only=False).astype("datetime64[us]").tolist()
    return [None if at is None else at.replace(tzinfo=UTC) for at in plain]


def _as_sent(column: PlannedColumn, sent: Any, moments: Any, places: npt.NDArray[np.intp]) -> Any:
    """A time as text: what stands in the table, or ISO 8601 in UTC where it is another form."""
    written = column.field.format if column.field else ""
    if isinstance(sent, list) and not written:
        return pa.array([sent[place] for place in places], pa.string())
    if sent is not None and not isinstance(sent, list) and not written and _is_text(sent.type):
        texts = sent.cast(pa.string()).take(pa.array(places))
        return pc.if_else(pc.is_valid(moments), texts, pa.scalar(None, pa.string()))
    told = [None if at is None else at.isoformat() for at in datetimes(moments)]
    return pa.array(told, pa.string())


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
