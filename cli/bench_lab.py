"""Time and memory of the lab on tables of growing size, each measured in a process of its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

NUMBERS, INTEGERS = 20, 5
CATEGORIES = {
    "channel": ("app", "web", "phone"),
    "country": ("DE", "FR", "ES", "IE"),
    "tier": ("a", "b"),
}
START = np.datetime64("2020-01-01T00:00:00")
SIZES = (100_000, 300_000, 1_000_000)
WRITTEN_AT_ONCE = 100_000
Progress = Callable[[str, int, int], None]


def bench_lab(sizes: Sequence[int], progress: Progress) -> dict[str, Any]:
    """Seconds and peak megabytes by step and number of rows of 30 columns and a label."""
    told = []
    with TemporaryDirectory() as folder:
        for place, rows in enumerate(sizes):
            progress("snapshots and ladders", place, len(sizes))
            table = Path(folder) / f"{rows}.csv"
            write_table(table, rows)
            for step in ("snapshot", "ladder"):
                told.append({"step": step, "rows": rows, **_measured(step, table, Path(folder))})
        progress("snapshots and ladders", len(sizes), len(sizes))
    return {"columns": NUMBERS + INTEGERS + len(CATEGORIES) + 2, "measured": told}


def _measured(step: str, table: Path, folder: Path) -> dict[str, float]:
    """A new process each time: its peak is of this step alone."""
    command = [sys.executable, "-m", "cli.bench_lab", step, str(table), str(folder)]
    root = Path(__file__).parents[1]
    ended = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def write_table(path: Path, rows: int, *, seed: int = 0) -> None:
    """A label that depends on some columns, one request every few minutes."""
    source = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, WRITTEN_AT_ONCE):
        batch = _batch(source, start, min(WRITTEN_AT_ONCE, rows - start))
        if writer is None:
            writer = arrow_csv.CSVWriter(str(path), batch.schema)
        writer.write_batch(batch)
    assert writer is not None
    writer.close()


def _batch(source: np.random.Generator, start: int, rows: int) -> Any:
    numbers = source.normal(size=(rows, NUMBERS)).round(5)
    logits = numbers[:, 0] + 0.5 * numbers[:, 1] * numbers[:, 2] - 1
    columns: dict[str, Any] = {f"n{i}": numbers[:, i] for i in range(NUMBERS)}
    columns |= {f"i{i}": source.integers(0, 1000, rows) for i in range(INTEGERS)}
    columns |= {
        name: np.array(values)[source.integers(0, len(values), rows)]
        for name, values in CATEGORIES.items()
    }
    columns["new_device"] = np.where(source.random(rows) < 0.2, "true", "false")
    moments = START + np.arange(start, start + rows) * np.timedelta64(120, "s")
    columns["asked_at"] = np.char.add(np.datetime_as_string(moments), "+00:00")
    columns["label"] = (source.random(rows) < 1 / (1 + np.exp(-logits))).astype(int)
    return pa.RecordBatch.from_pydict(columns)


def _run(step: str, table: Path, folder: Path) -> None:
    from core.clock import SystemClock
    from core.spec import parse_spec
    from lab.draft_spec import draft
    from lab.snapshots import SnapshotStore

    spec = parse_spec(draft(table, "bench", label="label"))
    store = SnapshotStore(folder / "snapshots", SystemClock())
    started = time.perf_counter()
    if step == "snapshot":
        store.put("bench", spec, table)
    else:
        from lab.reproducible import one_blas_thread
        from lab.table_data import read_table
        from lab.train_table import train_table
        from rules.ruleset import RulesEngine

        snapshot = store.put("bench", spec, table)  # made before: this finds it by its content
        started = time.perf_counter()
        rules = RulesEngine.from_text("version: '1'\nhit_policy: first\n")
        with one_blas_thread():
            train_table(read_table(spec, snapshot, rules), snapshot=snapshot.id)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_mb": round(peak)}))


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
