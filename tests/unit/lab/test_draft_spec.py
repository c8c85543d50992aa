"""A description drafted from a table: types, values, order, and a question at each decision."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidDocument
from core.spec import DecisionSpec, RowNumber, parse_spec
from lab.draft_names import names_of
from lab.draft_spec import draft
from lab.snapshots import Snapshot, SnapshotStore
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock

DATA = Path(__file__).parents[3] / "../shared/data"
HEADER = "Customer.Id,day,amount,tier,visits,is member,null,left"


def table(folder: Path, rows: int = 60) -> Path:
    tiers = ("gold", "NULL", "basic")
    lines = [
        f"c-{n},{1 + n % 28}/3/2025,{'' if n % 10 == 0 else 1.5 * n},{tiers[n % 3]},"
        f"{n % 7},{('true', 'false')[n % 2]},{n % 5},{('yes', 'no', 'no')[n % 3]}"
        for n in range(rows)
    ]
    path = folder / "table.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def drafted(path: Path, **more: str) -> tuple[str, DecisionSpec]:
    text = draft(path, "churn", **{"label": "left", **more})  # type: ignore[arg-type]
    return text, parse_spec(text)


def read_by(spec: DecisionSpec, path: Path, folder: Path) -> Snapshot:
    store = SnapshotStore(folder / "snapshots", FixedClock(datetime(2026, 1, 1, tzinfo=UTC)))
    return store.put("t", spec, path)


def test_columns_become_fields_of_their_types(tmp_path: Path) -> None:
    _, spec = drafted(table(tmp_path))
    fields = spec.request.fields
    assert {name: field.type for name, field in fields.items()} == {
        "customer_id": "text",
        "day": "time",
        "amount": "number",
        "tier": "category",
        "visits": "integer",
        "is_member": "boolean",
        "null": "integer",
    }
    assert fields["customer_id"].column == "Customer.Id"
    assert fields["day"].format == "%d/%m/%Y"  # the 28th is no month
    assert fields["tier"].values == ("basic", "gold") and fields["tier"].missing == "unknown"
    assert fields["amount"].missing == "unknown" and fields["visits"].missing == "refuse"
    assert isinstance(spec.request.time, RowNumber)  # the days rise and fall


def test_features_are_of_what_differs_and_of_no_id(tmp_path: Path) -> None:
    _, spec = drafted(table(tmp_path))
    assert spec.risk is not None
    kinds = {name: feature.kind for name, feature in spec.risk.features.items()}
    assert kinds == {
        "day_weekday": "weekday",
        "amount": "number",
        "tier": "category",
        "visits": "number",
        "is_member": "number",
        "null": "number",
    }


def test_a_table_is_read_by_its_own_draft(tmp_path: Path) -> None:
    path = table(tmp_path)
    _, spec = drafted(path)
    made = read_by(spec, path, tmp_path)
    assert made.rows == 60 and sum(made.columns(["left"])["left"]) == 20


def test_the_draft_does_not_hang_on_the_file_format(tmp_path: Path) -> None:
    """Of a table whose formats say what CSV leaves to be inferred."""
    path = table(tmp_path)
    columns = pyarrow.csv.read_csv(
        path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    )
    pq.write_table(columns, tmp_path / "table.parquet")
    lines = (json.dumps(row, default=str) for row in columns.to_pylist())
    (tmp_path / "table.jsonl").write_text("\n".join(lines))
    expected, spec = drafted(path)
    ids = {read_by(spec, path, tmp_path).id}
    for other in ("table.parquet", "table.jsonl"):
        assert drafted(tmp_path / other)[0] == expected
        ids.add(read_by(spec, tmp_path / other, tmp_path).id)
    assert len(ids) == 1


def test_every_decision_of_a_person_is_a_question(tmp_path: Path) -> None:
    text, _ = drafted(table(tmp_path))
    lines = text.splitlines()
    asked = [place for place, line in enumerate(lines) if "# QUESTION:" in line]
    subjects = (
        "event population target horizon_days kpi owner time currency person budgets slices gate "
        "positive"
    )
    for subject in subjects.split():
        place = next(p for p, line in enumerate(lines) if line.strip().startswith(f"{subject}:"))
        assert any(place - 3 <= question < place for question in asked), subject
    assert "available: false" in text and "`entity: that_field`" in text
    # Nothing that a person has to write passes for written.
    assert text.count("to be written") + text.count("to_be_written") >= 7


def test_dates_that_read_two_ways_are_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("at,n,left\n" + "".join(f"{1 + n % 9}/3/2025,{n},{n % 2}\n" for n in range(20)))
    text, spec = drafted(path)
    assert "Which is it, '%m/%d/%Y' or '%d/%m/%Y'?" in text
    assert spec.request.fields["at"].format == "%m/%d/%Y"


def test_a_table_in_the_order_of_time_goes_by_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"2025-01-{day:02d}T10:00:00+00:00,{day % 5},{day % 2}" for day in range(1, 29)]
    path.write_text("\n".join(["at,n,left", *rows]))
    text, spec = drafted(path)
    assert spec.request.time_field == "at" and "QUESTION: Is at when" in text
    path.write_text("\n".join(["at,n,left", *rows[5:], *rows[:5]]))
    text, spec = drafted(path)
    assert spec.request.time_field is None and "Perhaps at" in text


def test_the_label_s_value_is_taken_where_it_goes_without_saying(tmp_path: Path) -> None:
    path = table(tmp_path)
    for given_, found in (({}, "yes"), ({"positive": "no"}, "no")):
        _, spec = drafted(path, **given_)
        assert spec.risk is not None and spec.risk.positive == found
    _, spec = drafted(path, label="is member")
    assert spec.risk is not None and spec.risk.positive is True
    assert spec.risk.label == "is_member" and spec.risk.column == "is member"


@pytest.mark.parametrize(
    ("label", "positive", "code"),
    [
        ("gone", None, "RUNG-TABLE-COLUMN"),
        ("visits", None, "RUNG-RISK-LABELS"),
        ("Customer.Id", None, "RUNG-RISK-LABELS"),
        ("left", "maybe", "RUNG-RISK-LABELS"),
        ("tier", None, "RUNG-RISK-LABELS"),
    ],
)
def test_a_label_that_is_none_is_refused(
    tmp_path: Path, label: str, positive: str | None, code: str
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        draft(table(tmp_path), "churn", label=label, positive=positive)
    assert caught.value.code == code


def test_nothing_to_decide_by_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("same,left\n" + "a,1\na,0\n" * 10)
    with pytest.raises(InvalidDocument) as caught:
        drafted(path)
    assert caught.value.code == "RUNG-RISK-FEATURES"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=8, unique=True))
def test_every_column_gets_a_name_of_its_own(columns: list[str]) -> None:
    names = names_of(columns)
    assert list(names) and set(names) == set(columns)
    assert len(set(names.values())) == len(columns)
    for name in names.values():
        assert name[0].isascii() and name[0].isalpha() and len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


CELLS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(CELLS, min_size=1, max_size=3, unique=True),
    st.lists(CELLS, min_size=1, max_size=4),
)
def test_any_cells_make_a_draft_that_is_accepted(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], cells: list[str]
) -> None:
    """YAML has many ways to read a text as something else; none may change what was there."""
    folder = tmp_path_factory.mktemp("any")
    columns = [f"c{name}" for name in names]
    path = folder / "t.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {name: cells[(n + place) % len(cells)] for place, name in enumerate(columns)}
                | {"n": n, "left": n % 2}
            )
            + "\n"
            for n in range(12)
        )
    )
    _, spec = drafted(path)
    for field in spec.request.fields.values():
        assert field.type != "category" or set(field.values) == set(cells)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data does not lie beside the project")
@pytest.mark.parametrize(
    ("name", "label", "rows", "positives"),
    [
        ("bank_marketing/bank-additional-full.csv.gz", "y", 41_188, 4_640),
        ("hotel_bookings/hotel_bookings.csv.gz", "is_canceled", 119_390, 44_224),
    ],
)
def test_real_tables_are_drafted_and_read(
    tmp_path: Path, name: str, label: str, rows: int, positives: int
) -> None:
    spec = parse_spec(draft(DATA / name, "real", label=label))
    made = read_by(spec, DATA / name, tmp_path)
    assert (made.rows, sum(made.columns([label])[label])) == (rows, positives)
    fields = spec.request.fields
    if label == "y":
        assert fields["emp_var_rate"].column == "emp.var.rate"
        assert fields["default"].values == ("no", "unknown", "yes")
    else:
        assert fields["reservation_status_date"].format == "%m/%d/%Y"
        assert fields["agent"].missing == "unknown"


def test_the_drafted_rules_hold(tmp_path: Path) -> None:
    from lab.draft_spec import RULES

    engine = RulesEngine.from_text(RULES)
    assert engine.run_cases() == [] and engine.decide({}).outcomes == ()
