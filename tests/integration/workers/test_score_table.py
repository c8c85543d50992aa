"""A batch says of every row what the ladder says of it alone, in any order, form and size."""

import asyncio
import gzip
import json
import os
import random
import signal
import subprocess
import sys
from csv import DictWriter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from core.errors import Conflict, InvalidDocument, InvalidRequest, NotFound, Unavailable
from core.identity.pseudonym import pseudonym
from core.spec import parse_spec
from lab.drawn_requests import draw
from router.batch_scoring import live_scorer
from tests.fakes.entity_decision import DECISION
from tests.fakes.scored_table import (
    SILENT,
    TENANT,
    ScoredTable,
    opened,
    outputs,
    parquet,
    said,
    with_scores,
)
from tests.fakes.service import SECRET
from tests.fakes.small_disk import small_disk
from tests.terminal import ROOT
from workers.score_output import SCHEMA, Output

KEYED = DECISION.replace(
    "customer: {type: text, max_length: 40, missing: unknown}",
    "customer: {type: text, max_length: 40}",
)
RULES = """
version: "1"
hit_policy: {policy}
rules:
  - id: large
    when: {{all: [{{field: amount, gt: 900000}}, {{not: {{field: country, eq: de}}}}]}}
    outcome: hold
    on_unknown: escalate
    priority: 1
    reason: a large transfer abroad
  - id: early
    when: {{any: [{{field: ordered_at, prefix: "2026-01-0"}}, {{field: tries, in: [7, 8, true]}}]}}
    outcome: pass
    reason: the first days, or many tries
    priority: 3
  - id: busy
    when: {{expr: "facts.payments_30d > 14.0 && facts.amount < 500000.0"}}
    outcome: hold
    reason: a busy customer
"""


@pytest.fixture
def world(tmp_path: Path) -> ScoredTable:
    return opened(tmp_path / "home")


@pytest.fixture
def told(world: ScoredTable) -> list[dict[str, Any]]:
    """Requests, a few of which do not fit; their events are in the store."""
    spec = parse_spec(DECISION)
    drawn = draw(spec, requests=600, seed=4)
    for name, events in drawn.events.items():
        world.store.record_events(TENANT, name, events)
    world.clock.advance(days=3650)  # all is known, and what a row may use is told by its own time
    rows = [dict(row) for row in drawn.requests]
    rows[5]["amount"] = -1.0
    rows[6]["amount"] = None
    rows[7]["tries"] = 12
    rows[8]["ordered_at"] = "2026-01-01"
    rows[9] |= {"tries": -3, "amount": None, "purpose": " "}
    return rows


@pytest.mark.parametrize("policy", ["first", "priority", "collect"])
def test_every_row_is_decided_as_online(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path, policy: str
) -> None:
    world.release(DECISION, RULES.format(policy=policy), least=0.45)
    table = parquet(tmp_path / "rows.parquet", parse_spec(DECISION), told)
    counts = world.scored(table, tmp_path / "scores.parquet")
    here = said(outputs(tmp_path / "scores.parquet"))
    assert here == world.decided(told)
    assert {row["rung"] for row in here} == {"rules", "classical", "person", None}
    assert (counts.rows, counts.scored, sum(counts.rejected.values())) == (600, 595, 5)
    assert counts.rejected == {"RUNG-FACTS-VALUE": 3, "RUNG-FACTS-NULL": 2}


def test_a_stale_feed_is_a_person_s(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    fresh = "fresh_within_hours: 0.5\n    when_stale: person"
    written = DECISION.replace("fresh_within_hours: 48", fresh)
    world.release(written, RULES.format(policy="first"))
    table = parquet(tmp_path / "rows.parquet", parse_spec(written), told)
    world.scored(table, tmp_path / "scores.parquet")
    here = said(outputs(tmp_path / "scores.parquet"))
    assert here == world.decided(told)
    assert sum(row["rung"] == "person" for row in here) > 50


def test_the_form_of_the_table_has_no_say(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    spec = parse_spec(DECISION)
    world.release(DECISION, RULES.format(policy="first"))
    good = [row for place, row in enumerate(told) if not 5 <= place <= 9]
    world.scored(parquet(tmp_path / "rows.parquet", spec, good), tmp_path / "a.parquet")
    lines = "".join(json.dumps(row) + "\n" for row in good)
    (tmp_path / "rows.jsonl").write_text(lines)
    world.scored(tmp_path / "rows.jsonl", tmp_path / "b.parquet")
    names = [name for name, field in spec.request.fields.items() if field.available]
    with gzip.open(tmp_path / "rows.csv.gz", "wt", newline="") as file:
        writer = DictWriter(file, names)
        writer.writeheader()
        writer.writerows(good)
    world.scored(tmp_path / "rows.csv.gz", tmp_path / "c.parquet")
    first = outputs(tmp_path / "a.parquet")
    assert outputs(tmp_path / "b.parquet") == first
    assert outputs(tmp_path / "c.parquet") == first
    world.scored(tmp_path / "rows.jsonl", tmp_path / "d.jsonl")
    again = [json.loads(line) for line in (tmp_path / "d.jsonl").read_text().splitlines()]
    assert said(again) == said(first)
    world.scored(tmp_path / "rows.jsonl", tmp_path / "e.csv")
    assert len((tmp_path / "e.csv").read_text().splitlines()) == len(good) + 1


def test_order_copies_and_batches_have_no_say(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    spec = parse_spec(DECISION)
    world.release(DECISION, RULES.format(policy="priority"))
    world.scored(parquet(tmp_path / "rows.parquet", spec, told), tmp_path / "a.parquet")
    first = said(outputs(tmp_path / "a.parquet"))
    places = [*range(len(told)), *range(0, len(told), 3)]
    random.Random(1).shuffle(places)
    shuffled = parquet(tmp_path / "shuffled.parquet", spec, [told[place] for place in places])
    # Row groups of 7 are batches of 7, where the trees are asked by one thread.
    pq.write_table(pq.read_table(shuffled), shuffled, row_group_size=7)
    world.scored(shuffled, tmp_path / "b.parquet")
    assert said(outputs(tmp_path / "b.parquet")) == [first[place] for place in places]


def test_scores_are_kept_under_pseudonyms_the_last_row_counts(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    written = with_scores(KEYED, key="customer", fresh_for_hours=2)
    release = world.release(written)
    spec = parse_spec(written)
    rows = [row | {"customer": row.get("customer") or "nobody"} for row in told]
    counts = world.scored(parquet(tmp_path / "rows.parquet", spec, rows), tmp_path / "a.parquet")
    lines = [row for row in outputs(tmp_path / "a.parquet") if row["error"] is None]
    by_key = {row["key"]: row for row in lines}  # the last of each
    assert counts.stored == len(by_key)
    names = {pseudonym(SECRET, TENANT, key): key for key in by_key}
    stored = world.store.scores(TENANT, spec.name, list(names))
    assert len(stored) == len(by_key)
    for name, kept in stored.items():
        row = by_key[names[name]]
        assert (kept.probability, kept.outcome) == (row["probability"], row["outcome"])
        assert kept.release == release and kept.features_digest
        assert kept.expires_at - kept.scored_at == timedelta(hours=2)
    assert world.store.scores("other", spec.name, list(names)) == {}
    last = rows[-1]  # what the trace of an online decision would hold
    digest = asyncio.run(world.runtime.model_reads(TENANT, spec.name, last))
    assert digest == stored[pseudonym(SECRET, TENANT, last["customer"])].features_digest


def test_what_cannot_be_scored_is_told_and_leaves_nothing(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    spec = parse_spec(DECISION)
    table, out = parquet(tmp_path / "rows.parquet", spec, told), tmp_path / "out.parquet"
    with pytest.raises(NotFound, match="RUNG-DECISION-UNKNOWN"):
        live_scorer(world.store, world.artifacts, TENANT, "transfers")
    world.release(DECISION, SILENT)
    pq.write_table(pq.read_table(table).drop(["amount"]), tmp_path / "less.parquet")
    with pytest.raises(InvalidDocument, match="RUNG-TABLE-COLUMN"):
        world.scored(tmp_path / "less.parquet", out)
    odd = pq.read_table(table).drop(["amount"]).append_column("amount", pa.array([True] * 600))
    pq.write_table(odd, tmp_path / "odd.parquet")
    with pytest.raises(InvalidDocument, match="RUNG-TABLE-TYPE"):
        world.scored(tmp_path / "odd.parquet", out)
    (tmp_path / "broken.parquet").write_bytes(table.read_bytes()[:-9])
    with pytest.raises(InvalidDocument, match="RUNG-TABLE-READ"):
        world.scored(tmp_path / "broken.parquet", out)
    with pytest.raises(InvalidRequest, match="RUNG-OUTPUT-FORMAT"):
        world.scored(table, tmp_path / "out.xlsx")
    with pytest.raises(InvalidRequest, match="RUNG-OUTPUT-WRITE"):
        world.scored(table, tmp_path / "nowhere" / "out.parquet")
    with pytest.raises(Conflict, match="RUNG-OUTPUT-EXISTS"):
        world.scored(table, table, overwrite=True)
    out.write_bytes(b"of the day before")
    with pytest.raises(InvalidDocument, match="RUNG-TABLE-READ"):
        world.scored(tmp_path / "late.parquet", out, overwrite=True)
    assert out.read_bytes() == b"of the day before"
    out.unlink()
    bad = [{**told[0], "amount": 1.0}, "no object"]
    (tmp_path / "half.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bad))
    with pytest.raises(InvalidDocument, match="RUNG-TABLE-CONTENT"):
        world.scored(tmp_path / "half.jsonl", out)
    assert not out.exists() and not list(tmp_path.glob(".*.part"))
    world.scored(table, out)
    before = out.read_bytes()
    with pytest.raises(Conflict, match="RUNG-OUTPUT-EXISTS"):
        world.scored(table, out)
    world.scored(table, out, overwrite=True)
    assert out.read_bytes() == before  # the same bytes each time


def test_where_the_store_fails_the_output_is_not_put(
    world: ScoredTable, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    written = with_scores(KEYED, key="customer")
    world.release(written)
    rows = [row | {"customer": row.get("customer") or "nobody"} for row in told]
    table, out = parquet(tmp_path / "rows.parquet", parse_spec(written), rows), tmp_path / "out.csv"
    with world.store.writing() as connection:
        connection.execute(text("DROP TABLE scores"))
    with pytest.raises(Unavailable, match="RUNG-STORE-UNAVAILABLE"):
        world.scored(table, out)
    assert list(tmp_path.glob("*out.csv*")) == []
    world.scored(table, out, keep=False)


def row_of(key: str) -> Any:
    row = [[key], [0.5], ["hold"], ["rules"], ["r"], [None], [None], [None], [None]]
    arrays = [pa.array(v, f.type) for v, f in zip(row, SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=SCHEMA)


def test_the_output_is_on_the_disk_under_its_name_when_it_is_done(tmp_path: Path) -> None:
    out, synced = tmp_path / "scores.csv", []

    def sync(handle: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")), out.exists()))
        os.fsync(handle)

    with Output(out, overwrite=False, sync=sync) as output:
        output.write(row_of("c"))
    (file, before), (folder, after) = synced
    assert (file.parent, before) == (tmp_path, False)
    assert (folder, after) == (tmp_path, True)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        output = Output(disk.folder / "scores.jsonl", overwrite=False)
        disk.fill()
        with pytest.raises(Unavailable, match="RUNG-OUTPUT-WRITE"), output:
            output.write(row_of("c"))
        disk.free()
        assert list(disk.folder.iterdir()) == []


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_what_killed_runs_left_goes_with_the_next_one(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"scores[1].{suffix}"
    others = tmp_path / f".{out.name}.mine.part"
    others.touch()
    code = (
        "import os, signal, sys; from pathlib import Path; from workers.score_output import Output;"
        "Output(Path(sys.argv[1]), overwrite=True).__enter__(); os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", code, str(out)], cwd=ROOT, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 2  # of several that were killed, the last one's
    with Output(out, overwrite=True) as output:
        output.write(row_of("c"))
    assert set(tmp_path.iterdir()) == {out, others}


def test_two_runs_at_once_write_a_whole_file_each(tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    with Output(out, overwrite=True) as first:
        first.write(row_of("a"))
        with Output(out, overwrite=True) as second:
            second.write(row_of("b"))
            first.write(row_of("c"))
        assert [json.loads(line)["key"] for line in out.read_text().splitlines()] == ["b"]
    assert [json.loads(line)["key"] for line in out.read_text().splitlines()] == ["a", "c"]
    assert list(tmp_path.iterdir()) == [out]
