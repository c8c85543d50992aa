"""Snapshots in memory, with rows whose leaks are planted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from core.spec import DecisionSpec, parse_spec
from lab.checks import CHECKS, Check, CheckResult
from lab.checks.subject import Rows, Subject
from lab.snapshots import schema_version
from lab.snapshots.plan import plan_of
from tests.fakes.table_world import FEATURES, table_spec
from tests.terminal import EXAMPLE

START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    schema_version: str


@dataclass(frozen=True, kw_only=True)
class MemorySnapshot:
    content: pa.Table
    manifest: Manifest
    id: str = "0" * 64

    @property
    def rows(self) -> int:
        return int(self.content.num_rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self.content.select(columns) if columns else self.content

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        told = {name: self.content[name].to_pylist() for name in names}
        return {
            name: [v.isoformat() if isinstance(v, datetime) else v for v in values]
            for name, values in told.items()
        }

    def shuffled(self, seed: int) -> "MemorySnapshot":
        order = np.random.default_rng(seed).permutation(self.rows)
        return MemorySnapshot(content=self.content.take(order), manifest=self.manifest)


def snapshot(spec: DecisionSpec, columns: Mapping[str, Sequence[Any]]) -> MemorySnapshot:
    """Of the columns that are given; the rows are numbered in their order."""
    rows = len(next(iter(columns.values())))
    given = {**columns, "_seq": range(rows)}
    fields = [field for field in plan_of(spec).whole if field.name in given]
    arrays = [pa.array(list(given[field.name]), field.type) for field in fields]
    table = pa.table(arrays, names=[field.name for field in fields])
    return MemorySnapshot(content=table, manifest=Manifest(schema_version=schema_version(spec)))


def with_fields(fields: Mapping[str, Any], **more: Any) -> DecisionSpec:
    """The loans of `table_spec`, and these fields."""
    return table_spec(fields=fields, **more)


def loans(n: int = 2000, *, seed: int = 0) -> dict[str, list[Any]]:
    """No field is a leak: the best of them has an AUC of some .7."""
    source = np.random.default_rng(seed)
    amount = np.exp(source.normal(5, 1, n))
    label = source.random(n) < 1 / (1 + np.exp(1.2 - 0.8 * (np.log(amount) - 5)))
    return {
        "amount": np.where(source.random(n) < 0.05, None, amount.astype(object)).tolist(),
        "age": source.integers(18, 80, n).tolist(),
        "channel": [("app", "web", "phone")[c] for c in source.integers(0, 3, n)],
        "customer": [f"c{c}" for c in source.integers(0, n, n)],
        "defaulted": label.astype(int).tolist(),
    }


def labels_of(columns: Mapping[str, Sequence[Any]]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    return np.array(columns["defaulted"]) == 1


def days(offsets: Sequence[float]) -> list[datetime]:
    return [START + timedelta(days=float(day)) for day in offsets]


def check_of(code: str) -> Check:
    return next(check for check in CHECKS if check.code == code)


def run(
    code: str,
    spec: DecisionSpec,
    columns: Mapping[str, Sequence[Any]],
    *,
    earlier: Mapping[str, Sequence[Any]] | None = None,
    earlier_spec: DecisionSpec | None = None,
    **more: Any,
) -> CheckResult:
    then = snapshot(earlier_spec or spec, earlier) if earlier else None
    subject = Subject(
        rows=Rows(spec, snapshot(spec, columns)), earlier=Rows(spec, then) if then else None, **more
    )
    return check_of(code).run(subject)


def with_features(fields: Mapping[str, Any], **features: Any) -> DecisionSpec:
    """These fields, each read by a feature of the given definition."""
    risk = {
        "outcome": "decline",
        "otherwise": "grant",
        "label": "defaulted",
        "features": {**FEATURES, **features},
    }
    return table_spec(fields=fields, risk=risk)


def support_spec() -> DecisionSpec:
    """A decision on a text."""
    return parse_spec((EXAMPLE / "decision.yaml").read_text("utf-8"))
