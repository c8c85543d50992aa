"""Joins rows with what their entities did, as of each row's own time, as a request is joined."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.entity_features import HOUR_US
from core.spec import DecisionSpec
from core.spec.entities import EntityType
from lab.point_in_time import EventTable, entity_facts
from router.batch_facts import FactColumns, is_known
from workers.score_rows import Admitted, Named, datetimes, each_text

Rows = npt.NDArray[np.bool_]


class EntityJoin:
    """`tables` are the events of each type of entity, entities by the pseudonym that `named` gives.

    They lie in memory, some 100 bytes an event, whatever the number of rows.
    """

    def __init__(self, spec: DecisionSpec, tables: Mapping[str, EventTable], named: Named) -> None:
        self._spec = spec
        self._tables = tables
        self._named = named

    def joined(self, admitted: Admitted, now: datetime) -> tuple[FactColumns, Rows]:
        """With a fact for each entity feature, and the rows that a person must decide.

        A row without a time happens at `now`, when it is scored.
        """
        columns = admitted.columns
        stale = np.zeros(columns.rows, dtype=bool)
        if not self._spec.entities:
            return columns, stale
        at = self._moments(columns, now)
        ids = {key: each_text(array, self._named) for key, array in admitted.ids.items()}
        listed = {key: array.to_pylist() for key, array in ids.items()}
        told = entity_facts(self._spec, self._tables, listed, datetimes(at))
        for name, kind in self._spec.entities.items():
            if kind.when_stale == "person":
                known = self._tables[name].known
                stale |= is_known(ids[kind.key]) & _stale(kind, known, _microseconds(at))
        facts = {name: pa.array(values, pa.float64()) for name, values in told.items()}
        return replace(columns, facts={**columns.facts, **facts}), stale

    def _moments(self, columns: FactColumns, now: datetime) -> Any:
        present = pa.scalar(now, pa.timestamp("us", "UTC"))
        name = self._spec.request.time_field
        if name is None:
            return pa.array([now] * columns.rows, present.type)
        return pc.fill_null(columns.moments[name], present)


def _microseconds(moments: Any) -> npt.NDArray[np.int64]:
    told: npt.NDArray[np.int64] = moments.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return told


def _stale(kind: EntityType, known: npt.NDArray[np.int64], at: npt.NDArray[np.int64]) -> Rows:
    """`core.entity_features.is_stale` for many; `known` is ascending."""
    if kind.fresh_within_hours is None:
        return np.zeros(len(at), dtype=bool)
    count = known.searchsorted(at, side="right")
    newest = np.concatenate([[np.iinfo(np.int64).min // 2], known])[count]
    stale: Rows = at - newest > round(kind.fresh_within_hours * HOUR_US)
    return stale
