"""Rows a second that a batch scores, in a process of its own, and whether online says the same.

The table, the decision and its LightGBM model are made of one seed. Scoring goes from the file to
the file; the comparison decides sampled rows one by one, as the API does, and looks at everything.
"""

import asyncio
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from cli.scratch_home import scratch_home

if TYPE_CHECKING:
    from core.contracts import Decision, Request
    from router.live import Live
    from router.parts import LadderParts
    from router.runtime import Runtime

TENANT, NAME = "bench", "bench_score"
NUMBERS, INTEGERS = 16, 4
CATEGORIES = {
    "channel": ("app", "web", "phone"),
    "country": ("DE", "FR", "ES", "IE", "NL", "PL"),
    "tier": ("new", "standard", "gold"),
}
FITTED_ROWS, TREES, LEAVES = 20_000, 300, 31
WRITTEN_AT_ONCE = 100_000
UNKNOWN, BAD = 0.05, 0.001  # shares of cells and of rows
START = np.datetime64("2026-01-01T00:00:00", "us")
SHOWN = 5
Progress = Callable[[str, int, int], None]


def bench_score(rows: int, sample: int, seed: int, progress: Progress) -> dict[str, Any]:
    """`differences` counts sampled rows of which batch and online say anything else."""
    with TemporaryDirectory() as name, scratch_home():
        folder = Path(name)
        table = folder / "rows.parquet"
        progress("drawing rows", 0, rows)
        write_table(table, rows, seed)
        progress("fitting a model", 0, 1)
        _release(seed)
        progress("scoring", 0, 2)
        plain = _measured(table, folder / "plain.parquet", keep=False)
        progress("scoring", 1, 2)
        stored = _measured(table, folder / "stored.parquet", keep=True)
        told = _compared(table, folder / "plain.parquet", sample, seed, progress)
        twice = pq.read_table(folder / "plain.parquet", columns=["key", "probability"])
        if not twice.equals(pq.read_table(folder / "stored.parquet", columns=twice.column_names)):
            told["differences"] += 1
    return {
        "rows": rows,
        "features": NUMBERS + INTEGERS + len(CATEGORIES) + 3,
        "trees": TREES,
        "seconds": plain["seconds"],
        "rows_per_s": round(rows / plain["seconds"]),
        "cpu_seconds": plain["cpu_seconds"],
        "peak_mb": plain["peak_mb"],
        "storing": {
            "seconds": stored["seconds"],
            "rows_per_s": round(rows / stored["seconds"]),
            "cpu_seconds": stored["cpu_seconds"],
            "peak_mb": stored["peak_mb"],
        },
        **told,
    }


def decision_yaml() -> str:
    """Fields, features of every kind, and two rules' worth of reasons to pass the model by."""
    fields: dict[str, Any] = {"id": {"type": "text", "max_length": 20}, "at": {"type": "time"}}
    features: dict[str, Any] = {
        "hour": {"kind": "hour", "of": "at"},
        "weekday": {"kind": "weekday", "of": "at"},
        "ratio": {"kind": "ratio", "of": ["n0", "n1"]},
    }
    for place in range(NUMBERS):
        fields[f"n{place}"] = {"type": "number", "max": 1e6, "missing": "unknown"}
        features[f"n{place}"] = {"kind": "log1p" if place % 4 == 3 else "number", "of": f"n{place}"}
    for place in range(INTEGERS):
        fields[f"i{place}"] = {"type": "integer", "min": 0, "missing": "unknown"}
        features[f"i{place}"] = {"kind": "number", "of": f"i{place}"}
    for name, values in CATEGORIES.items():
        fields[name] = {"type": "category", "values": list(values), "missing": "unknown"}
        features[name] = {"kind": "category", "of": name}
    return yaml.safe_dump(
        {
            "name": NAME,
            "version": "1",
            "framing": {
                "event": "a request is drawn for the measurement of a batch",
                "population": "every request that the seed draws for the table",
                "target": "the drawn label of the request is one on the day of it",
                "horizon_days": 1,
                "label_delay_days": 0,
                "kpi": {"name": "losses", "unit": "EUR", "better": "lower"},
                "owner": "whoever measures",
            },
            "request": {"time": "at", "fields": fields},
            "outcomes": {"stop": "the request is stopped", "pass": "the request passes"},
            "costs": {
                "currency": "EUR",
                "error": 50,
                "wrong_answer": 50,
                "person": {"price": 14, "minutes": 0, "error_rate": 0},
                "matrix": [
                    {"outcome": "pass", "truth": "stop", "cost": 100},
                    {"outcome": "stop", "truth": "pass", "cost": 20},
                ],
            },
            "budgets": {
                "latency_p95_ms": 100,
                "deadline_ms": 60_000,
                "throughput_per_s": 10,
                "price_per_decision": 1,
                "price_per_day": 10,
            },
            "risk": {
                "outcome": "stop",
                "otherwise": "pass",
                "label": "label",
                "features": features,
            },
            "scores": {"key": "id"},
        },
        sort_keys=False,
    )


RULES = """
version: "1"
hit_policy: first
rules:
  - id: far_out
    when: {all: [{field: n0, gt: 2.5}, {field: country, in: [IE, PL]}]}
    outcome: stop
    reason: an amount that nobody has there
  - id: unknown_tier
    when: {all: [{field: n1, gt: 2.0}, {not: {field: tier, eq: gold}}]}
    on_unknown: escalate
    outcome: pass
    reason: small and standard
"""


def write_table(path: Path, rows: int, seed: int) -> None:
    """One row in a thousand does not fit."""
    source = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, WRITTEN_AT_ONCE):
        batch = drawn(source, start, min(WRITTEN_AT_ONCE, rows - start))
        writer = writer or pq.ParquetWriter(path, batch.schema)
        writer.write_batch(batch)
    assert writer is not None
    writer.close()


def drawn(source: np.random.Generator, start: int, rows: int) -> Any:
    columns: dict[str, Any] = {"id": [f"r{start + row}" for row in range(rows)]}
    moments = START + source.integers(0, 10**13, rows).astype("timedelta64[us]")
    columns["at"] = pa.array(moments, pa.timestamp("us", "UTC"))
    for place in range(NUMBERS):
        values = source.normal(size=rows)
        if place == NUMBERS - 1:
            values[source.random(rows) < BAD] = 2e6
        columns[f"n{place}"] = pa.array(values, mask=source.random(rows) < UNKNOWN)
    for place in range(INTEGERS):
        whole = source.integers(0, 1000, rows)
        columns[f"i{place}"] = pa.array(whole, mask=source.random(rows) < UNKNOWN)
    for name, known in CATEGORIES.items():
        words = np.array(known, dtype=object)[source.integers(0, len(known), rows)]
        columns[name] = pa.array(words, mask=source.random(rows) < UNKNOWN)
    return pa.RecordBatch.from_pydict(columns)


def _release(seed: int) -> None:
    """Fits a model on drawn labels and makes it live, as files that are read again."""
    from cli.home import open_home
    from router.parts import RELEASE

    with open_home() as home:
        parts = _parts(seed)
        made = home.artifacts.put(TENANT, RELEASE, parts.to_files(), {"decision": NAME})
        home.store.register_release(TENANT, NAME, made)


def _parts(seed: int) -> "LadderParts":
    import lightgbm

    from core.calibration import Platt
    from core.features import compute_columns
    from core.spec import parse_spec
    from lab.table_data import categorical_of
    from llm import Prompts
    from router.batch_facts import FactColumns, feature_columns
    from router.parts import LadderParts
    from router.policy import CostPolicy
    from router.risk import BoostedTrees, RiskModel
    from router.support import SupportModel
    from rules.ruleset import RulesEngine

    written = decision_yaml()
    spec = parse_spec(written)
    assert spec.risk is not None
    source = np.random.default_rng(seed + 1)
    batch = drawn(source, 0, FITTED_ROWS)
    arrays = {name: batch.column(name) for name in batch.schema.names}
    facts = FactColumns(rows=FITTED_ROWS, facts=arrays, moments={"at": arrays["at"]})
    categories = {name: field.values for name, field in spec.request.fields.items()}
    matrix = compute_columns(
        spec.risk.features, feature_columns(spec, facts), FITTED_ROWS, categories
    )
    logit = np.nansum(matrix[:, 3:9] * np.array([1.0, 0.5, -0.7, 0.3, 0.2, -0.4]), axis=1) - 1
    labels = (source.random(FITTED_ROWS) < 1 / (1 + np.exp(-logit))).astype(int)
    told = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.05, "seed": seed}
    told |= {"verbosity": -1, "deterministic": True, "force_row_wise": True}
    data = lightgbm.Dataset(matrix, labels, categorical_feature=sorted(categorical_of(spec)))
    booster = lightgbm.train(told, data, num_boost_round=TREES)
    model = RiskModel(
        names=tuple(spec.risk.features),
        scorer=BoostedTrees(booster.model_to_string()),
        calibrator=Platt(slope=0.9, intercept=-0.1),
    )
    return LadderParts(
        decision_yaml=written,
        rules_yaml=RULES,
        spec=spec,
        rules=RulesEngine.from_text(RULES),
        intents=None,
        risk=model,
        retrievers={},
        prompts=Prompts.load(Path("prompts")),  # the defaults
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )


def _measured(table: Path, output: Path, *, keep: bool) -> dict[str, float]:
    """A new process: its time and peak are of scoring alone, loading included in the peak."""
    command = [sys.executable, "-m", "cli.bench_score", str(table), str(output), str(int(keep))]
    root = Path(__file__).parents[1]
    ended = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def _run(table: Path, output: Path, keep: bool) -> None:
    from cli.home import open_home
    from router.batch_scoring import live_scorer
    from workers.score_table import Asked, score_table

    with open_home() as home:
        scorer = live_scorer(home.store, home.artifacts, TENANT, NAME)
        asked = Asked(
            tenant_id=TENANT,
            table=table,
            output=output,
            overwrite=False,
            keep=keep,
            scored_at=home.clock.now(),
        )
        started, busy = time.perf_counter(), time.process_time()
        score_table(scorer, home.store, home.settings.secret, asked)
        seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu, 3), "peak_mb": round(peak)}
    print(json.dumps(told))


def _compared(
    table: Path, output: Path, sample: int, seed: int, progress: Progress
) -> dict[str, Any]:
    """The sampled rows through the ladder, one request after the other."""
    from cli.home import open_home, open_runtime

    batch, online = pq.read_table(output), []
    count = min(sample, batch.num_rows)
    places = np.sort(np.random.default_rng(seed).choice(batch.num_rows, count, replace=False))
    sent = pq.read_table(table).take(pa.array(places)).to_pylist()
    here = batch.take(pa.array(places)).to_pylist()
    with open_home() as home:
        runtime = open_runtime(home, keyless=True)

        async def decide() -> None:
            for number, row in enumerate(sent, start=1):
                online.append(await decided(runtime, TENANT, NAME, as_request(row)))
                if number % 500 == 0:
                    progress("deciding online", number, count)

        asyncio.run(decide())
    names = ("probability", "outcome", "rung", "error")
    pairs = [({n: a[n] for n in names}, b) for a, b in zip(here, online, strict=True)]
    unlike = [(int(places[row]), a, b) for row, (a, b) in enumerate(pairs) if a != b]
    known = [(a["probability"], b["probability"]) for a, b in pairs]
    return {
        "sample": sample,
        "compared": count,
        "differences": len(unlike),
        "max_abs_diff": max((abs(a - b) for a, b in known if a and b), default=0.0),
        "answered": _shares(here),
        "examples": [{"row": row, "batch": a, "online": b} for row, a, b in unlike[:SHOWN]],
    }


async def decided(
    runtime: "Runtime", tenant_id: str, name: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What the ladder decides, in the words of a table of scores; nothing is recorded."""
    from core.errors import InvalidFacts
    from router.entity_facts import escalated

    live = await runtime.live(tenant_id, name)
    try:
        request = runtime.request(live.spec, tenant_id, facts)
    except InvalidFacts as error:
        return {"probability": None, "outcome": None, "rung": None, "error": error.code}
    joined = runtime.joined(live.spec, request, facts)
    ladder = escalated(live.ladder, joined.why_person) if joined.why_person else live.ladder
    decision = await ladder.decide(joined.request)
    return {
        "probability": _probability(live, joined.request, decision),
        "outcome": ",".join(decision.outcomes) or "person",
        "rung": decision.rung,
        "error": None,
    }


def _probability(live: "Live", request: "Request", decision: "Decision") -> float | None:
    """Of the risk's outcome, where the model was asked.

    Where its conformal set is open the rung abstains without a belief; then the model is asked of
    the row as it was read.
    """
    risk, model = live.spec.risk, live.parts.risk
    assert risk is not None and model is not None
    for step in decision.steps:
        if step.verdict.rung == "classical" and not step.verdict.escalate:
            if step.verdict.belief:
                return step.verdict.belief[risk.outcome]
            return float(model.predict(live.ladder.read(request).features[None, :])[0])
    return None


def as_request(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a typed table as the JSON of a request."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }


def readable(told: Mapping[str, Any]) -> str:
    storing = told["storing"]
    lines = [
        f"{told['rows']:,} rows of {told['features']} features, {told['trees']} trees",
        f"{'':<16}{'rows/s':>10}{'seconds':>10}{'peak MB':>10}",
        f"{'to a file':<16}{told['rows_per_s']:>10,}{told['seconds']:>10.1f}{told['peak_mb']:>10,}",
        f"{'and the store':<16}{storing['rows_per_s']:>10,}{storing['seconds']:>10.1f}"
        f"{storing['peak_mb']:>10,}",
        f"compared with online decisions: {told['compared']:,}, differences: "
        f"{told['differences']}, largest of a probability: {told['max_abs_diff']:g}",
    ]
    lines += [f"  {name:<24}{n:>8,}" for name, n in told["answered"].items()]
    return "\n".join(lines)


def _shares(rows: list[dict[str, Any]]) -> dict[str, int]:
    told: dict[str, int] = {}
    for row in rows:
        word = row["rung"] or row["error"]
        told[word] = told.get(word, 0) + 1
    return dict(sorted(told.items()))


if __name__ == "__main__":
    _run(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "1")
