"""Scores a table of any size, a batch at a time: in the order of its rows, none lost in silence.

A row that the decision's own schema refuses stands in the output with the code of its refusal.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from core.errors import Conflict
from core.identity.pseudonym import pseudonym
from core.store import Store
from core.store.scores import ScoredRows
from lab.point_in_time import told_tables
from lab.snapshots.read_table import RawBatch, Table, open_table
from router.batch_scoring import RUNGS, BatchScorer, Scored
from workers.score_entities import EntityJoin
from workers.score_keeper import Keeper
from workers.score_output import MOMENT, SCHEMA, WORDS, Output
from workers.score_rows import Admitted, RowReader

Progress = Callable[[int, int, int], None]  # rows scored; how much of how much was read


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`scored_at` is when every row counts as scored; a row without a time happens then."""

    tenant_id: str
    table: Path
    output: Path
    overwrite: bool
    keep: bool  # in the store too, where decision.yaml says by which key
    scored_at: datetime


@dataclass(kw_only=True)
class Counts:
    """What became of the rows."""

    rows: int = 0
    scored: int = 0
    stored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    ignored: tuple[str, ...] = ()


def score_table(
    scorer: BatchScorer,
    store: Store,
    secret: SecretStr,
    asked: Asked,
    progress: Progress = lambda rows, done, total: None,
) -> Counts:
    """Writes `asked.output` whole or not at all.

    Raises InvalidDocument for a table that cannot be read, Conflict where the output is there.
    """
    table, output = open_both(asked.table, asked.output, overwrite=asked.overwrite)

    def named(entity: str) -> str:
        return pseudonym(secret, asked.tenant_id, entity)

    reader = RowReader(scorer.spec, table, named, scorer.reads)
    reader.refuse_absent()
    events = told_tables(scorer.spec, store, asked.tenant_id) if scorer.spec.entities else {}
    run = _Run(scorer, EntityJoin(scorer.spec, events, named), store, asked)
    with output, run.keeper:  # the output is put in its place once all scores are kept
        for batch in table.batches(reader.sources, reader.declared):
            output.write(run.scored(batch, reader.admitted(batch)))
            progress(run.counts.rows, *table.progress())
    run.counts.stored = run.keeper.stored
    run.counts.ignored = tuple(sorted(set(table.names) - set(reader.sources)))
    return run.counts


def open_both(table: Path, output: Path, *, overwrite: bool) -> tuple[Table, Output]:
    """Nothing is written yet. Raises as `score_table` does."""
    opened = open_table(table)
    if output.exists() and output.samefile(table):
        raise Conflict(
            "RUNG-OUTPUT-EXISTS",
            "the output is the table itself",
            way_out="Name another file for the scores.",
        )
    return opened, Output(output, overwrite=overwrite)


class _Run:
    def __init__(self, scorer: BatchScorer, join: EntityJoin, store: Store, asked: Asked) -> None:
        self.counts = Counts()
        self.keeper = Keeper(self._named, self._kept)
        self._scorer = scorer
        self._join = join
        self._store = store
        self._asked = asked
        spec = scorer.spec
        self._key = spec.scores.key if spec.scores else spec.request.entity
        self._keeps = asked.keep and spec.scores is not None
        hours = spec.scores.fresh_for_hours if spec.scores else None
        self._expires_at = None if hours is None else asked.scored_at + timedelta(hours=hours)

    def scored(self, batch: RawBatch, admitted: Admitted) -> Any:
        """The batch's rows as they are written, in their order."""
        columns, stale = self._join.joined(admitted, self._asked.scored_at)
        scored = self._scorer.score(columns, stale)
        keys = self._keys(admitted)
        if self._keeps:
            self.keeper.keep(_as_kept(keys, scored))
        self._count(admitted, scored)
        return self._written(batch, admitted, keys, scored)

    def _keys(self, admitted: Admitted) -> Any:
        """As they stand in the table: who reads the output joins it with its own."""
        if self._key is None:
            return pa.nulls(len(admitted.places), pa.string())
        if self._key in admitted.ids:  # among the facts it is a pseudonym
            return admitted.ids[self._key]
        return admitted.columns.facts[self._key].cast(pa.string())

    def _named(self, batch: Any) -> Any:
        spec, tenant_id = self._scorer.spec, self._asked.tenant_id
        assert self._key is not None
        hidden = spec.request.fields[self._key].type == "text"
        sent = batch.column("key").to_pylist()
        named = self._store.score_keys(tenant_id, sent, hidden=hidden)
        return batch.set_column(0, "key", pa.array(named, pa.string()))

    def _kept(self, rows: Any) -> int:
        assert self._expires_at is not None
        told = ScoredRows(
            release=self._scorer.release,
            scored_at=self._asked.scored_at,
            expires_at=self._expires_at,
            keys=rows["key"].to_pylist(),
            probabilities=rows["probability"].to_pylist(),
            outcomes=rows["outcome"].to_pylist(),
            digests=rows["digest"].to_pylist(),
        )
        return self._store.keep_scores(self._asked.tenant_id, self._scorer.spec.name, told)

    def _count(self, admitted: Admitted, scored: Scored) -> None:
        counts = self.counts
        counts.rows += admitted.rows
        counts.scored += len(admitted.places)
        counts.rejected.update(one.code for one in admitted.rejected.values())
        for told, names, codes in (
            (counts.outcomes, scored.outcomes, scored.outcome),
            (counts.rungs, RUNGS, scored.rung),
        ):
            found = np.bincount(codes, minlength=len(names)).tolist()
            told.update({name: n for name, n in zip(names, found, strict=True) if n})

    def _written(self, batch: RawBatch, admitted: Admitted, keys: Any, scored: Scored) -> Any:
        count = len(admitted.places)
        probability = pa.array(scored.predicted, mask=~scored.asked)
        columns = [
            keys,
            probability,
            pa.DictionaryArray.from_arrays(scored.outcome, pa.array(scored.outcomes)),
            pa.DictionaryArray.from_arrays(scored.rung, pa.array(RUNGS)),
            _word(self._scorer.release, count),
            pa.array([self._asked.scored_at], MOMENT).take(pa.array(np.zeros(count, np.int32))),
            pa.array([self._expires_at], MOMENT).take(pa.array(np.zeros(count, np.int32))),
            pa.nulls(count, WORDS),
            pa.nulls(count, pa.string()),
        ]
        written = pa.record_batch(columns, schema=SCHEMA)
        return _with_rejected(written, admitted) if admitted.rejected else written


def _as_kept(keys: Any, scored: Scored) -> Any:
    outcomes = pa.DictionaryArray.from_arrays(scored.outcome, pa.array(scored.outcomes))
    return pa.record_batch(
        {
            "key": keys,
            "probability": scored.predicted,
            "outcome": outcomes.cast(pa.string()),
            "digest": pa.array(scored.digests(), pa.string()),
        }
    )


def _word(word: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(np.zeros(count, dtype=np.int32), pa.array([word]))


def _with_rejected(written: Any, admitted: Admitted) -> Any:
    """The rejected rows at their places, with nothing but why."""
    at = np.full(admitted.rows, -1, dtype=np.int64)
    at[admitted.places] = np.arange(len(admitted.places))
    places = pa.array(at, mask=at < 0)
    columns = [written.column(name).take(places) for name in SCHEMA.names[:-2]]
    rows = np.array(list(admitted.rejected), dtype=np.int64)
    why = np.full(admitted.rows, -1, dtype=np.int64)
    why[rows] = np.arange(len(rows))
    refusals = pa.array(why, mask=why < 0)
    told = list(admitted.rejected.values())
    columns += [
        pa.array([one.code for one in told], pa.string()).take(refusals).cast(WORDS),
        pa.array([one.message for one in told], pa.string()).take(refusals),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def summary(counts: Counts, scorer: BatchScorer, asked: Asked) -> Mapping[str, Any]:
    """What a command prints and a job keeps."""
    scores = scorer.spec.scores
    hours = scores.fresh_for_hours if scores else None
    expires_at = None if hours is None else asked.scored_at + timedelta(hours=hours)
    return {
        "decision": scorer.spec.name,
        "release": scorer.release,
        "table": str(asked.table),
        "output": str(asked.output),
        "rows": counts.rows,
        "scored": counts.scored,
        "rejected": sum(counts.rejected.values()),
        "errors": dict(sorted(counts.rejected.items())),
        "outcomes": dict(sorted(counts.outcomes.items())),
        "rungs": dict(sorted(counts.rungs.items())),
        "stored": counts.stored,
        "ignored": list(counts.ignored),
        "scored_at": asked.scored_at.isoformat(),
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
