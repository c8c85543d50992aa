"""Facts of many requests as columns, and as the columns that features are computed of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.contracts import Json
from core.features import Column
from core.spec import DecisionSpec
from rules.conditions import All, Any_, Condition, Expression, Not, fields_of

NUMBERS = frozenset({"number", "integer", "boolean"})


@dataclass(frozen=True, kw_only=True)
class FactColumns:
    """Admitted facts, an Arrow array (rows,) for each, null where unknown.

    Numbers are float64, integers int64, truth values bool; texts, categories and times are strings,
    a time as it was sent. Those that nobody reads (`facts_read`) may be left out. `moments` holds
    all times as timestamps in UTC.
    """

    rows: int
    facts: Mapping[str, Any]
    moments: Mapping[str, Any]

    def taken(self, places: npt.NDArray[np.intp]) -> list[dict[str, Json]]:
        """The facts of some rows, as one request after the other holds them."""
        names = list(self.facts)
        columns = [self.facts[name].take(pa.array(places)).to_pylist() for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def compared(spec: DecisionSpec) -> set[str]:
    """Fields that a feature compares as they were sent: texts, or values of two kinds."""
    fields = spec.request.fields
    return {
        source
        for feature in (spec.risk.features.values() if spec.risk else ())
        if feature.kind == "differs"
        and not all(n not in fields or fields[n].type in NUMBERS for n in feature.sources)
        for source in feature.sources
    }


def facts_read(spec: DecisionSpec, conditions: Iterable[Condition]) -> set[str]:
    """The facts that features or rules read as they were sent; an expression may read any.

    A feature reads a time as a moment, unless it compares it.
    """
    fields = spec.request.fields
    read = compared(spec)
    for feature in spec.risk.features.values() if spec.risk else ():
        read |= {n for n in feature.sources if n not in fields or fields[n].type != "time"}
    for condition in conditions:
        if reads_any(condition):
            return {*fields, *spec.entity_features}
        read |= fields_of(condition)
    return read


def reads_any(condition: Condition) -> bool:
    """Whether it holds an expression, of which nobody knows what it reads."""
    if isinstance(condition, Not):
        return reads_any(condition.not_)
    if isinstance(condition, All | Any_):
        parts = condition.all if isinstance(condition, All) else condition.any
        return any(map(reads_any, parts))
    return isinstance(condition, Expression)


def feature_columns(spec: DecisionSpec, columns: FactColumns) -> dict[str, Column]:
    """What `core.features.compute_columns` reads, as arrays wherever it takes them."""
    features = spec.risk.features.values() if spec.risk else ()
    read = {source for feature in features for source in feature.sources}
    kinds = {name: spec.request.fields[name].type for name in read & spec.request.fields.keys()}
    as_sent = compared(spec)
    return {
        name: columns.facts[name].to_pylist()
        if name in as_sent
        else _array(spec, columns, name, kinds.get(name, "number"))
        for name in sorted(read)
    }


def _array(spec: DecisionSpec, columns: FactColumns, name: str, kind: str) -> Column:
    if kind in NUMBERS:
        return _numbers(columns.facts[name])
    if kind == "time":
        moments: npt.NDArray[Any] = columns.moments[name].to_numpy(zero_copy_only=False)
        return moments.astype("datetime64[us]")
    if kind == "category":
        return _places(columns.facts[name], spec.request.fields[name].values)
    texts: list[Any] = columns.facts[name].to_pylist()
    return texts


def _numbers(array: Any) -> npt.NDArray[np.float64]:
    if not pa.types.is_floating(array.type):
        array = array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array
        array = array.cast(pa.float64())
    numbers: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False)
    return numbers


def _places(array: Any, values: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Each category's place among its declared values, as float64."""
    places = {value: place for place, value in enumerate(values)}
    encoded = array.dictionary_encode()
    known = [float(places[value]) for value in encoded.dictionary.to_pylist()]
    return _numbers(pa.array(known, pa.float64()).take(encoded.indices))


def is_known(array: Any) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return known
