"""Snapshots: one content has one id however it came, and what cannot be used is refused."""

import csv
import gzip
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Conflict, CorruptArtifact, InvalidDocument, InvalidFacts, NotFound
from core.intake import admit
from lab.snapshots import SnapshotStore, diff
from tests.fakes.clock import FixedClock
from tests.fakes.table_world import table_spec

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHEN = {"asked_at": {"type": "time"}}
ROWS: list[dict[str, Any]] = [
    {"amount": 12.5, "age": 30, "channel": "app", "customer": "c1", "defaulted": 0},
    {"amount": None, "age": 41, "channel": None, "customer": "c2", "defaulted": 1},
    {"amount": 1e6, "age": -3, "channel": "web", "customer": "c1", "defaulted": 0},
]


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots", FixedClock(NOW))


def as_csv(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> Path:
    gz = path.suffix == ".gz"
    with gzip.open(path, "wt", newline="") if gz else path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def as_parquet(path: Path, rows: Sequence[Mapping[str, Any]], row_group: int = 1000) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=row_group)
    return path


def test_one_content_has_one_id_in_every_format(store: SnapshotStore, tmp_path: Path) -> None:
    spec = table_spec()
    made = [
        store.put("t", spec, path)
        for path in (
            as_csv(tmp_path / "a.csv", ROWS),
            as_csv(tmp_path / "b.csv", ROWS, ";"),
            as_csv(tmp_path / "c.csv.gz", ROWS),
            as_lines(tmp_path / "d.jsonl", ROWS),
            as_parquet(tmp_path / "e.parquet", ROWS),
            as_parquet(tmp_path / "f.parquet", ROWS, row_group=1),
        )
    ]
    assert len({one.id for one in made}) == 1
    assert len(store.list("t")) == 1
    assert made[0].columns(["amount", "age", "channel", "defaulted", "_seq"]) == {
        "amount": [12.5, None, 1e6],
        "age": [30, 41, -3],
        "channel": ["app", None, "web"],
        "defaulted": [0, 1, 0],
        "_seq": [0, 1, 2],
    }


def test_the_id_is_the_same_on_every_machine(store: SnapshotStore, tmp_path: Path) -> None:
    """A value that changes means that snapshots of the past would lose their names."""
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", ROWS))
    assert made.id == "e5b9b290e91a5339e7542fe3c9460ae8fb4af9bedfbbbd3598ae390a4e964fa8"


def test_other_cells_give_another_id(store: SnapshotStore, tmp_path: Path) -> None:
    spec = table_spec()
    first = store.put("t", spec, as_csv(tmp_path / "a.csv", ROWS))
    for change in ({"age": 31}, {"customer": "c9"}, {"amount": None}, {"defaulted": 1}):
        changed = store.put(
            "t", spec, as_csv(tmp_path / "b.csv", [{**ROWS[0], **change}, *ROWS[1:]])
        )
        assert changed.id != first.id
    # Texts that read the same one after the other are not the same texts.
    moved = [{**ROWS[0], "customer": "c1c"}, {**ROWS[1], "customer": "2"}, ROWS[2]]
    assert store.put("t", spec, as_csv(tmp_path / "c.csv", moved)).id != first.id


def test_shuffled_rows_with_their_numbers_are_the_same_snapshot(
    store: SnapshotStore, tmp_path: Path
) -> None:
    spec = table_spec(time="asked_at", fields=WHEN)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [
        {**ROWS[n % 3], "asked_at": (start + timedelta(hours=n // 4)).isoformat(), "_seq": n}
        for n in range(200)
    ]
    first = store.put("t", spec, as_csv(tmp_path / "a.csv", rows))
    order = np.random.default_rng(0).permutation(len(rows))
    second = store.put("t", spec, as_csv(tmp_path / "b.csv", [rows[n] for n in order]))
    assert first.id == second.id
    without = [{k: v for k, v in row.items() if k != "_seq"} for row in rows]
    assert store.put("t", spec, as_csv(tmp_path / "c.csv", without)).id == first.id
    assert first.manifest.time_range == ("2025-01-01T00:00:00+00:00", "2025-01-03T01:00:00+00:00")


def test_rows_in_disorder_are_put_in_the_order_of_time(
    store: SnapshotStore, tmp_path: Path
) -> None:
    days = [5, 1, 3, 1]
    rows = [
        {**ROWS[0], "age": n, "asked_at": f"2025-01-0{day}T00:00:00+02:00"}
        for n, day in enumerate(days)
    ]
    spec = table_spec(time="asked_at", fields=WHEN)
    made = store.put("t", spec, as_lines(tmp_path / "a.jsonl", rows))
    assert made.columns(["age"])["age"] == [1, 3, 2, 0]  # of one moment, as they stood
    assert made.columns(["asked_at"])["asked_at"][0] == "2024-12-31T22:00:00+00:00"


VALUES = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(0, 1e300) | st.integers(0, 2**60),
        "age": st.integers(-(2**60), 2**60) | st.none() | st.floats(-5, 5) | st.booleans(),
        "channel": st.none() | st.sampled_from(["app", "web", "fax", "NA", ""]),
        "customer": st.text(max_size=8) | st.just("jo@example.com"),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_lines_are_admitted_as_requests_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    spec = table_spec()
    path = as_lines(folder / "a.jsonl", [{**row, "defaulted": 1} for row in rows])
    store = SnapshotStore(folder / "snapshots", FixedClock(NOW))
    try:
        expected = [admit(spec.request, row) for row in rows]
    except InvalidFacts:
        with pytest.raises(InvalidDocument) as caught:  # for the first bad column, not row
            store.put("t", spec, path)
        assert caught.value.code.startswith("RUNG-FACTS-")
        assert store.list("t") == []
        return
    made = store.put("t", spec, path)
    assert made.columns(list(spec.request.fields)) == {
        name: [row[name] for row in expected] for name in spec.request.fields
    }


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(0, 1e300),
            st.integers(-(2**52), 2**52),
            st.sampled_from(["app", "web"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_cells_of_csv_are_read_exactly(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float | None, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    table = [
        {"amount": a, "age": n, "channel": c, "customer": "c", "defaulted": 0} for a, n, c in rows
    ]
    store = SnapshotStore(folder / "snapshots", FixedClock(NOW))
    made = store.put("t", table_spec(), as_csv(folder / "a.csv", table))
    found = made.columns(["amount", "age", "channel"])
    assert list(zip(*found.values(), strict=True)) == rows
    assert all(math.copysign(1, a) == 1 for a in found["amount"] if a == 0)


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        ({"age": "thirty"}, "RUNG-FACTS-VALUE", 3),
        ({"age": "5.5"}, "RUNG-FACTS-VALUE", 3),
        ({"age": ""}, "RUNG-FACTS-NULL", 3),
        ({"age": 2**60}, "RUNG-FACTS-VALUE", 3),
        ({"amount": "inf"}, "RUNG-FACTS-VALUE", 3),
        ({"amount": -1}, "RUNG-FACTS-VALUE", 3),
        ({"amount": "1_000"}, "RUNG-FACTS-VALUE", 3),
        ({"channel": "fax"}, "RUNG-FACTS-VALUE", 3),
        ({"customer": "x" * 5000}, "RUNG-FACTS-VALUE", 3),
        ({"customer": "   "}, "RUNG-FACTS-VALUE", 3),
        ({"defaulted": ""}, "RUNG-FACTS-NULL", 3),
        ({"asked_at": "2025-01-01 10:00"}, "RUNG-FACTS-VALUE", 3),
        ({"asked_at": "soon"}, "RUNG-FACTS-VALUE", 3),
        ({"asked_at": "2027-01-01T00:00:00+00:00"}, "RUNG-TABLE-FUTURE", 3),
        ({"asked_at": ""}, "RUNG-FACTS-NULL", 3),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_line(
    store: SnapshotStore, tmp_path: Path, change: dict[str, Any], code: str, line: int | None
) -> None:
    spec = table_spec(time="asked_at", fields=WHEN)
    rows = [{**row, "asked_at": "2025-01-01T00:00:00+00:00"} for row in ROWS]
    path = as_csv(tmp_path / "a.csv", [rows[0], {**rows[1], **change}, rows[2]])
    with pytest.raises(InvalidDocument) as caught:
        store.put("t", spec, path)
    assert (caught.value.code, caught.value.line) == (code, line)
    assert store.list("t") == []
    assert list((tmp_path / "snapshots" / "t").iterdir()) == []


def test_numbers_as_pandas_writes_them_are_whole_again(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", [{**ROWS[0], "age": "30.0"}]))
    assert made.columns(["age"])["age"] == [30]


def test_what_is_declared_may_be_named_and_written_otherwise(
    store: SnapshotStore, tmp_path: Path
) -> None:
    fields = {
        "country": {
            "type": "category",
            "values": ["NA", "DE"],
            "missing": "unknown",
            "unseen": "unknown",
            "column": "Country.Code",
        },
        "asked_at": {"type": "time", "format": "%m/%d/%Y", "column": "day"},
    }
    rows = [
        {**ROWS[0], "Country.Code": code, "day": day, "note": "left out"}
        for code, day in (("NA", "7/1/2015"), ("FR", "12/31/2016"), ("", "1/2/2015"))
    ]
    spec = table_spec(fields=fields)
    made = store.put("t", spec, as_csv(tmp_path / "a.csv", rows))
    assert made.columns(["country"])["country"] == ["NA", None, None]  # Namibia is a value here
    assert made.columns(["asked_at"])["asked_at"] == [
        "2015-07-01T00:00:00+00:00",
        "2016-12-31T00:00:00+00:00",
        "2015-01-02T00:00:00+00:00",
    ]
    assert made.manifest.ignored == ("note",)


@pytest.mark.parametrize(
    ("positive", "cells"),
    [
        ("yes", ("yes", "no")),
        (1, ("1.0", "0.0")),
        (True, ("True", "False")),
        ("bad", ("bad", "good")),
    ],
)
def test_the_label_is_what_counts_as_positive(
    store: SnapshotStore, tmp_path: Path, positive: Any, cells: tuple[str, str]
) -> None:
    risk = table_spec().risk
    assert risk is not None
    spec = table_spec(risk={**risk.model_dump(mode="json"), "positive": positive})
    rows = [{**ROWS[0], "defaulted": cell} for cell in cells]
    made = store.put("t", spec, as_csv(tmp_path / "a.csv", rows))
    assert made.columns(["defaulted"])["defaulted"] == [1, 0]


def test_a_label_of_three_values_is_no_yes_or_no(store: SnapshotStore, tmp_path: Path) -> None:
    path = as_csv(tmp_path / "a.csv", [*ROWS, {**ROWS[0], "defaulted": "maybe"}])
    with pytest.raises(InvalidDocument, match="0, 1, maybe") as caught:
        store.put("t", table_spec(), path)
    assert caught.value.code == "RUNG-RISK-LABELS"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", "", "RUNG-TABLE-HEADER"),
        ("a.csv", "amount,age,channel,customer,defaulted\n", "RUNG-TABLE-EMPTY"),
        ("a.csv", "amount,age\n1,2\n", "RUNG-TABLE-COLUMN"),
        ("a.csv", "amount,amount\n1,2\n", "RUNG-TABLE-HEADER"),
        ("a.csv", "amount,age,channel,customer,defaulted\n1,2\n", "RUNG-TABLE-RAGGED"),
        ("a.jsonl", '{"age": NaN}\n', "RUNG-JSON-SYNTAX"),
        ("a.jsonl", "[1]\n", "RUNG-TABLE-CONTENT"),
        ("a.parquet", "PAR1nothing", "RUNG-TABLE-READ"),
        ("a.xlsx", "x", "RUNG-TABLE-FORMAT"),
        ("a.csv.gz", "no gzip", "RUNG-TABLE-READ"),
    ],
)
def test_files_that_are_no_table_are_refused(
    store: SnapshotStore, tmp_path: Path, name: str, content: str, code: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidDocument) as caught:
        store.put("t", table_spec(), tmp_path / name)
    assert caught.value.code == code


def test_a_number_of_the_order_must_stand_once_in_every_row(
    store: SnapshotStore, tmp_path: Path
) -> None:
    for numbers in ((1, 1, 2), (1, "", 2), (1, "x", 2)):
        rows = [{**row, "_seq": n} for row, n in zip(ROWS, numbers, strict=True)]
        with pytest.raises(InvalidDocument) as caught:
            store.put("t", table_spec(), as_csv(tmp_path / "a.csv", rows))
        assert caught.value.code == "RUNG-TABLE-CONTENT"


def test_a_changed_file_is_told_before_it_is_parsed(store: SnapshotStore, tmp_path: Path) -> None:
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", ROWS))
    part = made.folder / "part-00000.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    with pytest.raises(CorruptArtifact, match="was changed"):
        store.get("t", made.id).table()
    part.unlink()
    with pytest.raises(CorruptArtifact, match="missing"):
        store.get("t", made.id).table()
    manifest = made.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows": 3', '"rows": 4'))
    with pytest.raises(CorruptArtifact):
        store.get("t", made.id)


def test_snapshots_are_found_by_as_many_digits_as_are_unique(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", ROWS))
    assert store.get("t", made.id[:8]).id == made.id
    for prefix in ("0000", "../x", ""):
        with pytest.raises(NotFound):
            store.get("t", prefix)
    with pytest.raises(NotFound):
        store.get("other", made.id)
    other = "".join(reversed(made.id[4:]))
    (made.folder.parent / f"{made.id[:4]}{other}").mkdir()
    with pytest.raises(Conflict):
        store.get("t", made.id[:4])


def test_batches_hold_all_rows_in_order(store: SnapshotStore, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "age": n} for n in range(1000)]
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", rows))
    ages = [a for batch in made.batches(["age"], rows=64) for a in batch.column(0).to_pylist()]
    assert ages == list(range(1000))


def test_what_changed_between_two_snapshots(store: SnapshotStore, tmp_path: Path) -> None:
    first = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", ROWS))
    later = [{**row, "channel": "phone", "amount": 7} for row in ROWS]
    second = store.put("t", table_spec(), as_csv(tmp_path / "b.csv", later))
    told = diff(first, second)
    assert told["columns"]["channel"]["new_values"] == ["phone"]
    assert told["columns"]["channel"]["vanished_values"] == ["app", "web"]
    assert told["columns"]["amount"]["nulls"] == {"before": 1 / 3, "after": 0.0}
    assert told["columns"]["amount"]["quantiles"]["after"]["p50"] == 7
    assert "age" in told["equal"] and not told["schema_version_changed"]
    wider = table_spec(fields={"note": {"type": "text", "missing": "unknown"}})
    third = store.put("t", wider, as_lines(tmp_path / "c.jsonl", ROWS))
    assert diff(first, third)["added"] == ["note"]
    assert diff(first, third)["schema_version_changed"]


def test_a_killed_import_leaves_no_snapshot_behind(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "age": n} for n in range(200_000)]
    as_csv(tmp_path / "a.csv", rows)
    script = f"""
import os, signal
from datetime import datetime, timezone
from pathlib import Path
from lab.snapshots import SnapshotStore
from tests.fakes.clock import FixedClock
from tests.fakes.table_world import table_spec

def progress(step, done, total):
    if step == "writing the snapshot":
        os.kill(os.getpid(), signal.SIGKILL)

clock = FixedClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
store = SnapshotStore(Path({str(tmp_path / "s")!r}), clock)
store.put("t", table_spec(), Path({str(tmp_path / "a.csv")!r}), progress=progress)
"""
    root = Path(__file__).parents[4]
    ended = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    assert store.list("t") == []
    assert store.put("t", table_spec(), tmp_path / "a.csv").rows == 200_000


def test_columns_that_the_spec_has_come_to_declare_are_asked_for(
    store: SnapshotStore, tmp_path: Path
) -> None:
    made = store.put("t", table_spec(), as_csv(tmp_path / "a.csv", ROWS))
    with pytest.raises(NotFound) as caught:
        made.columns(["note"])
    assert caught.value.code == "RUNG-SNAPSHOT-COLUMN"
