"""What the checks look at: a decision, the columns of its snapshot, and the parts of its split."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from core.errors import InvalidDocument
from core.features import FeatureSpec, Matrix, compute_columns
from core.spec import DecisionSpec
from lab.checks.predictive import Alone, Labels, best, enough, folds_of, sampled, ways_of
from lab.checks.values import Codes, Floats, Values, read_values
from lab.snapshots.plan import ARROW_TYPES, SEQ
from lab.temporal_split import Moments, Split, split_rows
from rules.ruleset import RulesEngine

ALONE_ROWS = 200_000  # an AUC of .80 is known to .004 by then
TARGETS = 12  # truths of a decision on a text that are each held against the fields
Compute = Callable[
    [
        Mapping[str, FeatureSpec],
        Mapping[str, Sequence[Any]],
        int,
        Mapping[str, Sequence[str]],
    ],
    Matrix,
]


class ManifestLike(Protocol):
    @property
    def schema_version(self) -> str: ...


class SnapshotLike(Protocol):
    """What the checks read of a snapshot; `lab.snapshots` stores them."""

    @property
    def id(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def manifest(self) -> ManifestLike: ...
    def table(self, columns: Sequence[str] | None = None) -> pa.Table: ...


class Rows:
    """The columns of one snapshot, in the order of `_seq` whatever order they came in."""

    def __init__(self, spec: DecisionSpec, snapshot: SnapshotLike) -> None:
        self.spec = spec
        self.snapshot = snapshot
        table = snapshot.table()
        self.sequence: npt.NDArray[np.int64] = (
            table[SEQ].combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
        )
        if len(self.sequence) > 1 and (np.diff(self.sequence) < 0).any():
            order = np.argsort(self.sequence, kind="stable")
            table, self.sequence = table.take(order), self.sequence[order]
        self._table = table
        self._read: dict[str, Values] = {}

    @property
    def n(self) -> int:
        return len(self.sequence)

    @cached_property
    def request_fields(self) -> tuple[str, ...]:
        """Those that the snapshot holds and that are known when a request is decided."""
        declared = self.spec.request.fields
        return tuple(name for name in declared if declared[name].available and self.has(name))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """What a model may read: `request_fields`, and what is known of entities."""
        return (*self.request_fields, *filter(self.has, self.spec.entity_features))

    @property
    def schema_version(self) -> str:
        return self.snapshot.manifest.schema_version

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._table.column_names)

    def stored(self, name: str) -> str:
        """The type that a column is stored as."""
        return str(self._table.schema.field(name).type)

    def has(self, name: str) -> bool:
        return name in self._table.column_names

    def kind(self, name: str) -> str:
        """The declared type of a field; of any other column the one that it is stored as."""
        field = self.spec.request.fields.get(name)
        if field:
            return field.type
        stored = self._table.schema.field(name).type
        return next((kind for kind, own in ARROW_TYPES.items() if own == stored), "text")

    def values(self, name: str) -> Values:
        if name not in self._read:
            self._read[name] = read_values(self.kind(name), self._table[name])
        return self._read[name]

    def python(self, name: str, places: Codes) -> list[Any]:
        """As `Snapshot.columns` gives them to the features."""
        values: list[Any] = self._table[name].take(pa.array(places)).to_pylist()
        return [v.isoformat() if isinstance(v, datetime) else v for v in values]

    @cached_property
    def times(self) -> Floats | None:
        """Days since 1970 of each event; None where the decision names no time."""
        name = self.spec.request.time_field
        return self.values(name).numbers if name and self.has(name) else None

    @cached_property
    def moments(self) -> Moments | None:
        """Microseconds since 1970, rising, as a snapshot's rows go by time; None without a time."""
        name = self.spec.request.time_field
        if name is None or not self.has(name) or self._table[name].null_count:
            return None
        return np.asarray(self._table[name].cast(pa.int64()), dtype=np.int64)

    @cached_property
    def parts(self) -> Split | None:
        """As training cuts the rows; None where a part would be empty, or times are unknown."""
        if self.moments is None and self.spec.request.time_field is not None:
            return None
        try:
            return split_rows(self.spec, self.n, self.moments)
        except InvalidDocument:
            return None

    @property
    def split(self) -> Split:
        """`parts`, which are there where `needs_split` held."""
        assert self.parts is not None
        return self.parts

    @cached_property
    def label(self) -> Labels | None:
        """True where the risk is real; None without a declared label."""
        risk = self.spec.risk
        if risk is None or risk.label is None or not self.has(risk.label):
            return None
        column = read_values("number", self._table[risk.label]).numbers
        assert column is not None
        return np.asarray(column == 1)

    @cached_property
    def targets(self) -> dict[str, Labels]:
        """The label, and for a text each of the commonest truths against all others."""
        found = {}
        if self.label is not None and self.spec.risk:
            found[str(self.spec.risk.label)] = self.label
        truth = self.spec.training.truth
        if self.spec.by_text and self.has(truth):
            column = self.values(truth)
            assert column.codes is not None
            counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
            commonest = sorted(range(len(counts)), key=lambda place: (-counts[place], place))
            for place in commonest[:TARGETS]:
                found[f"{truth} = {column.levels[place]}"] = column.codes == place
        return {name: labels for name, labels in found.items() if enough(labels)}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`earlier` is the snapshot to compare with; `compute` is what computes the features."""

    rows: Rows
    earlier: Rows | None = None
    rules: RulesEngine | None = None
    seed: int = 0
    compute: Compute = compute_columns

    @property
    def spec(self) -> DecisionSpec:
        return self.rows.spec

    @property
    def features(self) -> dict[str, FeatureSpec]:
        return dict(self.spec.risk.features) if self.spec.risk else {}

    def readers(self, field: str) -> list[str]:
        """The features that read a field."""
        return [name for name, feature in self.features.items() if field in feature.sources]

    @cached_property
    def sample(self) -> Codes:
        return sampled(self.rows.sequence, ALONE_ROWS, self.seed)

    @cached_property
    def folds(self) -> Codes:
        """Of the sampled rows."""
        return folds_of(self.rows.sequence[self.sample], self.seed)

    @cached_property
    def alone(self) -> "dict[str, dict[str, list[Alone]]]":
        """By target and field: how well the field alone tells the target, read in every way."""
        request = self.spec.request
        names = [name for name in self.rows.fields if name != request.entity]
        found: dict[str, dict[str, list[Alone]]] = {target: {} for target in self.rows.targets}
        for name in names:
            values = taken(self.rows.values(name), self.sample)
            for target, labels in self.rows.targets.items():
                positive = labels[self.sample]
                if enough(positive):
                    found[target][name] = ways_of(
                        values, positive, self.folds, by_length=name == request.text
                    )
        return found

    @property
    def label_alone(self) -> dict[str, list[Alone]]:
        """Of the risk label, which is there where `needs_label` held."""
        assert self.spec.risk is not None
        return self.alone.get(str(self.spec.risk.label), {})

    @cached_property
    def copies(self) -> dict[str, tuple[str, Alone]]:
        """Fields that alone tell a target nearly always: the target told best, and how well."""
        found: dict[str, tuple[str, Alone]] = {}
        for target, fields in self.alone.items():
            for name, ways in fields.items():
                way = best(ways)
                if (
                    way
                    and way.auc >= COPY_AUC
                    and (name not in found or way.auc > found[name][1].auc)
                ):
                    found[name] = (target, way)
        return found

    def is_copy(self, field: str) -> bool:
        """Whether a field tells the label, or half or more of the truths of a text.

        What was chosen in a form rightly tells that one truth or another is asked for.
        """
        told = {
            target
            for target, fields in self.alone.items()
            if (way := best(fields.get(field, []))) and way.auc >= COPY_AUC
        }
        label = self.spec.risk.label if self.spec.risk else None
        return label in told or 2 * len(told) >= len(self.alone.keys() - {label}) > 0


COPY_AUC = 0.95  # the label's own noise leaves no honest field of a risk there


def taken(values: Values, places: Codes) -> Values:
    """The same column of fewer rows."""
    return Values(
        kind=values.kind,
        numbers=None if values.numbers is None else values.numbers[places],
        codes=None if values.codes is None else values.codes[places],
        levels=values.levels,
    )
