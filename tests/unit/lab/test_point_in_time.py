"""The join of two times, against a double loop, from both kinds of files."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.entity_features import EntityEvent, features_at, history_of, microseconds
from core.errors import InvalidDocument
from core.identity.pseudonym import pseudonym
from core.spec import parse_spec
from core.store import Store
from core.store.codec import to_text
from lab.point_in_time import entity_facts, read_events, table_of, told_tables
from tests.fakes.clock import FixedClock
from tests.fakes.entity_decision import DECISION
from tests.fakes.service import SECRET

SPEC = parse_spec(DECISION)
CUSTOMER = SPEC.entities["customer"]
START = datetime(2026, 1, 1, tzinfo=UTC)


def drawn(count: int, seed: int) -> list[EntityEvent]:
    rng = random.Random(seed)
    told = []
    for n in range(count):
        happened = START + timedelta(hours=rng.randint(0, 2000))
        login = rng.random() < 0.2
        told.append(
            EntityEvent(
                entity=f"c{rng.randint(0, 9)}",
                id=f"e{n}",
                kind="login" if login else "payment",
                happened_at=happened,
                known_at=happened + timedelta(hours=rng.choice((0, 1, 300))),
                values={}
                if login
                else {
                    "amount": rng.random() * 100,
                    "fee": rng.choice((None, rng.random())),
                    "shop": None,
                },
            )
        )
    rng.shuffle(told)
    return told


def looped(
    events: Sequence[EntityEvent], entities: Sequence[str | None], at: Sequence[datetime]
) -> list[dict[str, float | None]]:
    """Every row looks at every event."""
    rows = []
    for entity, moment in zip(entities, at, strict=True):
        known = [microseconds(e.known_at) for e in events if e.known_at <= moment]
        mine = [
            e
            for e in events
            if e.entity == entity and e.known_at <= moment and e.happened_at <= moment
        ]
        history = None if entity is None else history_of(CUSTOMER, mine)
        rows.append(features_at(CUSTOMER, history, max(known, default=None), moment))
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_as_a_double_loop_finds_it(seed: int) -> None:
    events = drawn(400, seed)
    rng = random.Random(seed + 100)
    at = [START + timedelta(hours=rng.randint(-10, 2400)) for _ in range(300)]
    entities = [rng.choice([None, *(f"c{n}" for n in range(12))]) for _ in at]
    columns = table_of(CUSTOMER, events).facts(entities, at)
    expected = looped(events, entities, at)
    assert [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ] == (expected)
    assert any(row["payments_30d"] for row in expected)


def test_the_future_does_not_leak() -> None:
    """Whatever is known only after a row, and whatever happens after it, leaves it as it was."""
    events = drawn(300, 7)
    at = [START + timedelta(hours=hours) for hours in range(200, 2000, 20)]
    entities = [f"c{n % 10}" for n in range(len(at))]
    before = table_of(CUSTOMER, events).facts(entities, at)
    late = [
        replace(e, id=f"late-{e.id}", known_at=at[-1] + timedelta(microseconds=1)) for e in events
    ]
    later = [
        replace(e, id=f"later-{e.id}", happened_at=at[-1] + timedelta(microseconds=1))
        for e in events
    ]
    # They come in no earlier than the feed's newest, so that no watermark moves either.
    assert table_of(CUSTOMER, [*events, *late]).facts(entities, at) == before
    unlimited = CUSTOMER.model_copy(update={"fresh_within_hours": None})
    assert table_of(unlimited, [*events, *later]).facts(entities, at) == table_of(
        unlimited, events
    ).facts(entities, at)


def as_rows(events: Sequence[EntityEvent]) -> list[dict[str, Any]]:
    return [
        {
            "entity": e.entity,
            "id": e.id,
            "kind": e.kind,
            "happened_at": e.happened_at,
            "known_at": e.known_at,
            "values": dict(e.values),
        }
        for e in events
    ]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(to_text(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["events.jsonl", "events.parquet"])
def test_both_files_say_the_same(tmp_path: Path, name: str) -> None:
    events = drawn(200, 3)
    at = [START + timedelta(hours=hours) for hours in range(0, 2000, 10)]
    entities = [f"c{n % 10}" for n in range(len(at))]
    read = read_events(written(tmp_path / name, as_rows(events)), CUSTOMER)
    assert read.facts(entities, at) == table_of(CUSTOMER, events).facts(entities, at)


def test_told_twice_counts_once_and_from_the_first_time() -> None:
    event = replace(drawn(1, 0)[0], entity="c", kind="login", values={})
    again = replace(event, known_at=event.known_at + timedelta(days=2))
    at = [event.known_at]
    kind = CUSTOMER.model_copy(update={"fresh_within_hours": None})
    for told in ([event, again], [again, event]):
        assert table_of(kind, told).facts(["c"], at) == table_of(kind, [event]).facts(["c"], at)
    with pytest.raises(InvalidDocument, match="two different events"):
        table_of(kind, [event, replace(event, happened_at=START)])


GOOD = {
    "entity": "c",
    "id": "e",
    "kind": "payment",
    "happened_at": "2026-01-01T00:00:00+00:00",
    "known_at": "2026-01-01T00:00:00Z",
    "values": {"amount": 1},
}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"known_at": None}, "RUNG-EVENTS-CONTENT"),
        ({"happened_at": "2026-01-01T00:00:00"}, "RUNG-EVENTS-CONTENT"),
        ({"happened_at": 1_700_000_000}, "RUNG-EVENTS-CONTENT"),
        ({"entity": 5}, "RUNG-EVENTS-CONTENT"),
        ({"kind": "refund"}, "RUNG-EVENTS-CONTENT"),
        ({"more": 1}, "RUNG-EVENTS-CONTENT"),
        ({"values": {"amount": -1}}, "RUNG-EVENT-VALUES"),
        ({"values": {"sum": 1}}, "RUNG-EVENT-VALUES"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, changed: dict[str, Any], code: str) -> None:
    path = tmp_path / "events.jsonl"
    rows = [GOOD, {**GOOD, "id": "f", **changed}]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    with pytest.raises(InvalidDocument) as caught:
        read_events(path, CUSTOMER)
    assert (caught.value.code, caught.value.line) == (code, 3)


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet", "text.parquet"])
def test_no_file_of_events(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(InvalidDocument) as caught:
        read_events(tmp_path / name, CUSTOMER)
    assert caught.value.code == "RUNG-EVENTS-READ"


def test_every_type_needs_its_table() -> None:
    ids = {"customer": ["c1"], "merchant": [None]}
    tables = {"customer": table_of(CUSTOMER, drawn(5, 1))}
    with pytest.raises(InvalidDocument) as caught:
        entity_facts(SPEC, tables, ids, [START])
    assert caught.value.code == "RUNG-EVENTS-MISSING"
    tables["merchant"] = table_of(SPEC.entities["merchant"], [])
    columns = entity_facts(SPEC, tables, ids, [START])
    assert list(columns) == list(SPEC.entity_features)
    assert columns["complaints_90d"] == [None]


def test_what_the_api_was_told_joins_the_rows_of_a_snapshot(tmp_path: Path) -> None:
    clock = FixedClock()
    store = Store.open(f"sqlite:///{tmp_path / 'rung.db'}", clock, secret=SECRET)
    paid = {"kind": "payment", "happened_at": clock.now(), "known_at": clock.now()}
    values = {"amount": 7.0, "fee": None, "shop": None}
    store.record_events(
        "acme", "customer", [EntityEvent(entity="c1", id="a", values=values, **paid)]
    )
    customers = ["c1", "c2", None]
    ids = {
        "customer": [c and pseudonym(SECRET, "acme", c) for c in customers],
        "merchant": [None, pseudonym(SECRET, "acme", "m1"), None],
    }
    columns = entity_facts(SPEC, told_tables(SPEC, store, "acme"), ids, [clock.now()] * 3)
    assert columns["spent_30d"] == [7.0, 0.0, None]
    assert columns["complaints_90d"] == [None, 0.0, None]
    store.close()
