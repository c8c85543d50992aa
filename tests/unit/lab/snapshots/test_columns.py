"""Whole columns are admitted as `core.intake.admit` admits the same rows one by one."""

import csv
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.contracts import Json
from core.errors import InvalidDocument, InvalidFacts
from core.intake import admit
from core.spec import DecisionSpec, FieldSpec, RequestSchema
from lab.snapshots import SEQ, SnapshotStore
from lab.snapshots.ordering import GROUP_ROWS
from lab.snapshots.read_table import NULL_MARKERS
from tests.fakes.clock import FixedClock
from tests.fakes.table_world import table_spec

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIELDS: dict[str, Any] = {
    "price": {"type": "number", "min": -5, "max": 1e18, "missing": "unknown"},
    "count": {"type": "integer", "min": -100, "missing": "unknown"},
    "new": {"type": "boolean", "missing": "unknown"},
    "meal": {
        "type": "category",
        "values": ["NA", "half board", "none"],
        "missing": "unknown",
        "unseen": "unknown",
    },
    "note": {"type": "text", "max_length": 30, "missing": "unknown"},
    "client": {"type": "text"},
    "due": {"type": "time", "missing": "unknown"},
}


def spec_of(**changes: Any) -> DecisionSpec:
    spec = table_spec()
    fields = {name: FieldSpec(**field) for name, field in {**FIELDS, **changes}.items()}
    request = RequestSchema(entity="client", time=spec.request.time, fields=fields)
    return spec.model_copy(update={"request": request})


ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)
ISO = st.builds(
    lambda at, mark, form: at.isoformat(mark, form),
    TIMES,
    st.sampled_from("T "),
    st.sampled_from(["auto", "seconds", "milliseconds", "minutes"]),
)
STRANGE_TIMES = st.sampled_from(
    [
        "2025-W05-3T10:00:00Z",
        "20250131T100000+0000",
        "2025-01-31T10:00:00.1234567Z",
        "2025-02-30T10:00:00Z",
        "2025-01-31T24:00:00Z",
        "2025-01-31",
        "0001-01-01T00:00:00+02:00",
    ]
)
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=32) | st.sampled_from(
    ["write to jo@example.com", "card 4111 1111 1111 1111", "  ", "a\nb"]
)
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**54), 2**54) | st.sampled_from([-0.0, 2**53])
ANY_CELL = {
    "price": st.none() | st.floats(-5, 1e18) | NUMBERS,
    "count": st.none() | st.integers(-100, 2**53 + 2) | st.integers(-120, 0),
    "new": st.none() | st.booleans(),
    "meal": st.none() | st.sampled_from(["NA", "half board", "none", "full board", "a\0b"]),
    "note": st.none() | TEXTS,
    "client": TEXTS,
    "due": st.none() | ISO | STRANGE_TIMES,
}


GOOD_TEXTS = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=9)
GOOD_CELL = {
    "price": st.none() | st.floats(-5, 1e18) | st.integers(-5, 2**53),
    "count": st.none() | st.integers(-100, 2**53),
    "new": st.none() | st.booleans(),
    "meal": st.none() | st.sampled_from(["NA", "half board", "none", "full board"]),
    "note": st.none() | GOOD_TEXTS | st.sampled_from(["call 0171 1234567", "to jo@example.com"]),
    "client": GOOD_TEXTS,
    "due": st.none() | ISO,
}


@st.composite
def any_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Good ones, but for at most one cell: else nearly every table would be refused."""
    rows = draw(st.lists(st.fixed_dictionaries(GOOD_CELL), min_size=1, max_size=3))
    name = draw(st.none() | st.sampled_from(sorted(ANY_CELL)))
    if name is not None:
        rows[draw(st.integers(0, len(rows) - 1))][name] = draw(ANY_CELL[name])
    return rows


# A whole number that no double holds: a request with it is refused.
INEXACT = [{**dict.fromkeys(FIELDS), "client": "c", "price": 2**53 + 1}]


def comparable(name: str, value: Json) -> Any:
    """A time by its moment, a float by its bits."""
    if name == "due" and value is not None:
        return datetime.fromisoformat(str(value)).astimezone(UTC)
    return value.hex() if isinstance(value, float) else value


def hold_together(folder: Path, table: Path, rows: list[dict[str, Any]]) -> None:
    spec = spec_of()
    store = SnapshotStore(folder / "snapshots", FixedClock(NOW))
    try:
        expected = [admit(spec.request, row) for row in rows]
    except InvalidFacts:
        with pytest.raises(InvalidDocument) as caught:
            store.put("t", spec, table)
        assert caught.value.code in ("RUNG-FACTS-NULL", "RUNG-FACTS-VALUE")
        return
    found = store.put("t", spec, table).columns(list(FIELDS))
    for name in FIELDS:
        assert [comparable(name, value) for value in found[name]] == [
            comparable(name, row[name]) for row in expected
        ]


@settings(max_examples=200, deadline=None)
@given(any_rows())
@example(INEXACT)
def test_parquet_is_admitted_as_requests_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("parquet")
    # A Parquet column of integers stays one, as does one of doubles: each row as the column is.
    whole = all(isinstance(row["price"], int | None) for row in rows)
    if not whole:
        rows = [{**r, "price": None if r["price"] is None else float(r["price"])} for r in rows]
    table = pa.Table.from_pylist([{**row, "defaulted": 0} for row in rows])
    pq.write_table(table, folder / "t.parquet")
    hold_together(folder, folder / "t.parquet", rows)


@settings(max_examples=200, deadline=None)
@given(any_rows())
@example(INEXACT)
def test_csv_is_admitted_as_requests_are(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    for row in rows:  # what CSV cannot tell apart: nothing and a null marker, \r and a line's end
        for name in ("note", "client"):
            text = row[name]
            row[name] = None if text in NULL_MARKERS else text and text.replace("\r", " ")
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*FIELDS, "defaulted"], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = {**row, "new": {None: "", True: "true", False: "0"}[row["new"]]}
            if isinstance(row["price"], float):
                cells["price"] = repr(row["price"])
            writer.writerow({**cells, "defaulted": 0})
    hold_together(folder, folder / "t.csv", rows)


def test_a_marker_is_a_value_only_where_it_is_declared(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("price,count,new,meal,note,client,due,defaulted\nNA,NA,NA,NA,NA,c,NA,0\n")
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    found = store.put("t", spec_of(), table).columns(list(FIELDS))
    assert {name: values[0] for name, values in found.items()} == {
        **dict.fromkeys(FIELDS),
        "meal": "NA",
        "client": "c",
    }


def test_the_line_is_found_behind_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    rows = ['1,1,1,none,"a\nb\n",c,,0', "", "x,1,1,none,a,c,,0"]
    table.write_text("\n".join(["price,count,new,meal,note,client,due,defaulted", *rows]))
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    with pytest.raises(InvalidDocument) as caught:
        store.put("t", spec_of(), table)
    assert (caught.value.code, caught.value.line) == ("RUNG-FACTS-VALUE", 6)


def test_a_row_of_parquet_is_told_by_its_number(tmp_path: Path) -> None:
    amounts = pa.array([1.0] * 70_000 + [-9.0])
    columns = {name: pa.nulls(len(amounts)) for name in FIELDS}
    columns |= {"price": amounts, "client": pa.array(["c"] * len(amounts))}
    columns["defaulted"] = pa.array([0] * len(amounts))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    with pytest.raises(InvalidDocument, match="row 70001"):
        store.put("t", spec_of(), tmp_path / "t.parquet")


def test_a_time_in_a_format_is_read_as_python_reads_it(tmp_path: Path) -> None:
    """In JSON Lines and CSV alike, and in UTC; a year of two digits is no %Y."""
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    for written in ("%m/%d/%Y", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S.%f", "%b %d %Y %I %p"):
        spec = spec_of(due={"type": "time", "format": written})
        moments = [datetime(2025, 1, 31, 13, 4, 5, 60), datetime(2024, 2, 29)]
        header = "price,count,new,meal,note,client,due,defaulted"
        cells = [moment.strftime(written) for moment in moments]
        table = tmp_path / "t.csv"
        table.write_text("\n".join([header, *(f",,,,,c,{cell},0" for cell in cells)]))
        lines = tmp_path / "t.jsonl"
        lines.write_text(
            "\n".join(f'{{"client": "c", "due": "{cell}", "defaulted": 0}}' for cell in cells)
        )
        made = store.put("t", spec, table)
        assert made.columns(["due"])["due"] == [
            datetime.strptime(cell, written).replace(tzinfo=UTC).isoformat() for cell in cells
        ]
        assert store.put("t", spec, lines).id == made.id
    table.write_text("\n".join([header, ",,,,,c,1/31/25,0"]))
    with pytest.raises(InvalidDocument) as caught:
        store.put("t", spec_of(due={"type": "time", "format": "%m/%d/%Y"}), table)
    assert (caught.value.code, caught.value.line) == ("RUNG-FACTS-VALUE", 2)


def test_many_shuffled_rows_are_put_in_order(tmp_path: Path) -> None:
    """Over several blocks of the file and several groups of rows."""
    rows = 2 * GROUP_ROWS + 7
    places = list(range(rows))
    random.Random(0).shuffle(places)
    columns = {name: pa.nulls(rows) for name in FIELDS}
    columns |= {"client": pa.array([f"c{place}" for place in places]), SEQ: pa.array(places)}
    columns |= {"count": pa.array(places), "defaulted": pa.array([0] * rows)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    made = SnapshotStore(tmp_path / "s", FixedClock(NOW)).put(
        "t", spec_of(), tmp_path / "t.parquet"
    )
    table = made.table([SEQ, "count", "client"])
    assert table.column_names == [SEQ, "count", "client"]
    for name in (SEQ, "count"):
        assert (table.column(name).to_numpy() == np.arange(rows)).all()
    assert table.column("client").to_pylist() == [f"c{place}" for place in range(rows)]


def test_a_broken_snapshot_is_mended_by_its_table(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("price,count,new,meal,note,client,due,defaulted\n1,,,,,c,,0\n")
    store = SnapshotStore(tmp_path / "s", FixedClock(NOW))
    made = store.put("t", spec_of(), table)
    part = made.folder / "part-00000.parquet"
    whole = part.read_bytes()
    for broken in (whole[:-9] + b"\0" + whole[-8:], b"", None):
        part.unlink()
        if broken is not None:
            part.write_bytes(broken)
        assert store.put("t", spec_of(), table).id == made.id
        assert part.read_bytes() == whole
        assert [path.name for path in made.folder.parent.iterdir()] == [made.id]
