"""What has changed from one snapshot of a decision to another."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lab.snapshots.plan import SEQ
from lab.snapshots.snapshot import Snapshot

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_VALUES = 50  # of each list that is told


def diff(earlier: Snapshot, later: Snapshot) -> dict[str, Any]:
    """Columns, rows and times, and what each common column held before and after."""
    before, after = earlier.manifest, later.manifest
    common = [name for name in before.columns if name in after.columns and name != SEQ]
    return {
        "earlier": before.id,
        "later": after.id,
        "decision": {"before": before.decision, "after": after.decision},
        "rows": {"before": before.rows, "after": after.rows},
        "time_range": {"before": before.time_range, "after": after.time_range},
        "schema_version_changed": before.schema_version != after.schema_version,
        "added": sorted(after.columns.keys() - before.columns.keys()),
        "removed": sorted(before.columns.keys() - after.columns.keys()),
        "retyped": {
            name: {"before": before.columns[name].type, "after": after.columns[name].type}
            for name in common
            if before.columns[name].type != after.columns[name].type
        },
        "columns": {
            name: _column(earlier, later, name)
            for name in common
            if before.columns[name].digest != after.columns[name].digest
        },
        "equal": [
            name for name in common if before.columns[name].digest == after.columns[name].digest
        ],
    }


def _column(earlier: Snapshot, later: Snapshot, name: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "nulls": {
            side: snapshot.manifest.columns[name].nulls / max(snapshot.rows, 1)
            for side, snapshot in (("before", earlier), ("after", later))
        }
    }
    kinds = {s.manifest.columns[name].type for s in (earlier, later)}
    if kinds == {"category"}:
        before, after = (
            set(pc.unique(snapshot.table([name]).column(name)).to_pylist())
            for snapshot in (earlier, later)
        )
        told["new_values"] = _listed(after - before)
        told["vanished_values"] = _listed(before - after)
    elif kinds <= {"number", "integer"}:
        told["quantiles"] = {
            side: _quantiles(snapshot.table([name]).column(name))
            for side, snapshot in (("before", earlier), ("after", later))
        }
    return told


def _listed(values: set[Any]) -> list[str]:
    return sorted(str(value) for value in values if value is not None)[:MOST_VALUES]


def _quantiles(column: Any) -> dict[str, float] | None:
    known = pc.drop_null(column).cast(pa.float64()).to_numpy()
    if not len(known):
        return None
    found = np.quantile(known, QUANTILES)
    return {"mean": float(known.mean())} | {
        f"p{round(100 * q)}": float(value) for q, value in zip(QUANTILES, found, strict=True)
    }
