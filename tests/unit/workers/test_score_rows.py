"""Columns of a table, read at once, hold what each row would by itself, and refuse the same."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidFacts
from core.intake import admit
from core.spec import parse_spec
from lab.snapshots.read_table import RawBatch
from tests.fakes.entity_decision import DECISION
from tests.fakes.scored_table import with_scores
from workers.score_rows import RowReader

SPEC = parse_spec(DECISION)
KINDS: dict[str, Any] = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
TIMES = ["2026-01-31T12:00:00+00:00", "2026-01-31T23:30:00-05:00", "2026-01-31", "noon", ""]
TEXTS = st.text(max_size=45) | st.sampled_from(
    ["", " ", "\u3000", "a\0b", "x" * 201, "4111 1111 1111 1111"]
)
CELLS: dict[str, Any] = {
    "number": st.floats(allow_nan=False)
    | st.sampled_from([0.0, -0.0, 1e6, 1e6 + 1, 2.0**53, 2.0**53 + 2]),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 12),
    "boolean": st.booleans(),
    "category": st.sampled_from(["fr", "de", "nl", "FR", "", "xx"]),
    "text": TEXTS,
    "time": st.sampled_from(TIMES),
}
FIELDS = {name: field for name, field in SPEC.request.fields.items() if field.available}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | CELLS[field.type] for name, field in FIELDS.items()}),
    min_size=1,
    max_size=30,
)


class Names:
    """A table of typed columns, of which a test hands over the batches itself."""

    kind: ClassVar[Any] = "parquet"
    path = Path("rows.parquet")
    names: ClassVar[list[str]] = list(FIELDS)


def read(rows: list[dict[str, Any]], spec: Any = SPEC) -> Any:
    columns = {
        name: pa.array([row[name] for row in rows], KINDS.get(field.type, pa.string()))
        for name, field in FIELDS.items()
    }
    reader = RowReader(spec, Names(), lambda entity: f"<{entity}>", set(FIELDS))  # type: ignore[arg-type]
    return reader.admitted(RawBatch(columns=columns, first=0, rows=len(rows)))


def alone(row: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The facts of one request, entities by their names, or the code of its refusal."""
    try:
        facts = admit(SPEC.request, row)
    except InvalidFacts as error:
        return None, error.code
    for key in SPEC.entity_keys:
        facts[key] = None if row[key] is None else f"<{row[key]}>"
    return facts, ""


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_what_fits_and_what_does_not(rows: list[dict[str, Any]]) -> None:
    admitted = read(rows)
    expected = [alone(row) for row in rows]
    assert {row: one.code for row, one in admitted.rejected.items()} == {
        place: code for place, (_, code) in enumerate(expected) if code
    }
    good = [place for place, (_, code) in enumerate(expected) if not code]
    assert admitted.places.tolist() == good
    assert admitted.columns.taken(np.arange(len(good))) == [expected[place][0] for place in good]
    for key in SPEC.entity_keys:
        assert admitted.ids[key].to_pylist() == [rows[place][key] for place in good]


def test_the_first_field_by_name_says_why_as_online() -> None:
    row = dict.fromkeys(FIELDS) | {"amount": -5.0, "tries": 99, "ordered_at": TIMES[0]}
    admitted = read([row])
    assert admitted.rejected[0].code == alone(row)[1] == "RUNG-FACTS-VALUE"
    assert "'amount'" in admitted.rejected[0].message


def test_a_key_stays_whole_and_is_redacted_where_it_is_read() -> None:
    spec = parse_spec(
        with_scores(
            DECISION.replace("max_length: 200, missing: unknown", "max_length: 200"), key="purpose"
        )
    )
    card = "4111 1111 1111 1111"
    row = dict.fromkeys(FIELDS) | {"amount": 5.0, "ordered_at": TIMES[0], "purpose": card}
    admitted = read([row], spec)
    assert admitted.ids["purpose"].to_pylist() == [card]
    assert admitted.columns.facts["purpose"].to_pylist() == ["<card>"]
