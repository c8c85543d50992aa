"""`rung bench`: what this machine does with a decision, in figures that compare by ratio."""

import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cli.commands.snapshot import Events
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, progress_told, tell

EXAMPLE = Path(__file__).parents[2] / "examples" / "payments_support"
app = typer.Typer(no_args_is_help=True, help="Speed on this machine.")


@app.callback()
def group() -> None:
    """Speed on this machine."""


@app.command("decide")
def decide(
    spec: Annotated[Path, typer.Option(help="A decision's folder with requests.jsonl.")] = EXAMPLE,
    n: Annotated[int, typer.Option(min=20, help="Requests for each rung and way.")] = 300,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Latency by the rung that answers, in process and over HTTP, and of one commit."""
    with errors_told(as_json):
        from cli.bench_decide import bench_decide
        from cli.decision_folder import DecisionFolder
        from cli.home import open_home
        from cli.scratch_home import scratch_home
        from core.settings import Settings

        folder = DecisionFolder.read(spec)
        settings = Settings.from_environment(os.environ)
        with scratch_home(copy_of=settings), open_home() as home:
            home.store.release_in_force(tenant, folder.spec.name)  # else nothing is to be measured
            with progress_told() as progress:
                told = bench_decide(home, folder, tenant, n, progress)
    tell(told, as_json, lambda: _readable(told))


@app.command("lab")
def lab(
    rows: Annotated[
        list[int] | None, typer.Option(min=1000, help="Size of a table; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time and memory of a snapshot and of the baseline ladder, on tables of growing size."""
    with errors_told(as_json):
        from cli.bench_lab import SIZES, bench_lab

        with progress_told() as progress:
            told = bench_lab(rows or SIZES, progress)
    tell(told, as_json, lambda: _readable_lab(told))


@app.command("checks")
def checks(
    spec: Annotated[Path, typer.Argument(help="A decision's folder.")],
    data: Annotated[Path, typer.Option(help="A table; it becomes a snapshot first.")],
    events: Events = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Time and memory of all leakage and data checks on a table."""
    with errors_told(as_json):
        from cli.bench_checks import bench_checks
        from cli.home import open_home
        from cli.snapshots import snapshot_of
        from core.spec import load_spec

        with open_home() as home, TemporaryDirectory() as folder, progress_told() as progress:
            # The events are the home's; the snapshot is nobody's newest.
            aside = replace(home, settings=home.settings.model_copy(update={"home": Path(folder)}))
            rows = snapshot_of(aside, tenant, load_spec(spec), data, None, progress, events=events)
            told = bench_checks(spec, rows, progress)
    tell(told, as_json, lambda: _readable_checks(told))


@app.command("embed")
def embed(
    passages: Annotated[int, typer.Option(min=200, help="Distinct texts to embed.")] = 20_000,
    data: Annotated[
        Path | None, typer.Option(help="A BEIR folder to draw them from; else the example.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="An embedder to try; may be repeated. Else all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Embedders against the plain library: passages a second, memory, and what retrieval loses."""
    with errors_told(as_json):
        from cli.bench_embed import bench_embed
        from rankers.open_embedder import EMBEDDERS, refuse_unknown

        for name in backend or ():
            refuse_unknown(name)
        with progress_told() as progress:
            told = bench_embed(data, passages, backend or EMBEDDERS, progress)
    tell(told, as_json, lambda: _readable_embed(told))


@app.command("index")
def index(
    rows: Annotated[
        list[int] | None, typer.Option(min=1000, help="Vectors of an index; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the vectors.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Searching by meaning, flat and by a graph: time to build, time of a search, recall."""
    with errors_told(as_json):
        from cli.bench_index import SIZES, bench_index

        with progress_told() as progress:
            told = bench_index(rows or SIZES, progress, seed=seed)
    tell(told, as_json, lambda: _readable_index(told))


def _readable(told: dict[str, Any]) -> str:
    lines = [f"{'':<24}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'n':>6}"]
    for way in ("in_process", "http"):
        for rung, f in told[way].items():
            name = f"{way} {rung}"
            if f is None:
                lines.append(f"{name:<24}  answers none of these requests")
                continue
            lines.append(
                f"{name:<24}{f['per_s']:9.1f}{f['p50_ms']:9.2f}{f['p95_ms']:9.2f}"
                f"{f['p99_ms']:9.2f}{f['n']:6d}"
            )
    c = told["commit_ms"]
    lines.append(f"one commit: p50 {c['p50']:.2f} ms, p99 {c['p99']:.2f} ms, n {c['n']}")
    return "\n".join(lines)


def _readable_lab(told: dict[str, Any]) -> str:
    lines = [f"{'step':<12}{'rows':>10}{'seconds':>10}{'rows/s':>10}{'peak MB':>10}"]
    lines += [
        f"{one['step']:<12}{one['rows']:>10,}{one['seconds']:>10.1f}"
        f"{one['rows'] / one['seconds']:>10,.0f}{one['peak_mb']:>10,.0f}"
        for one in told["measured"]
    ]
    return "\n".join([*lines, f"({told['columns']} columns and a label)"])


@app.command("score")
def score(
    rows: Annotated[int, typer.Option(min=1000, help="Rows of the drawn table.")] = 1_000_000,
    sample: Annotated[int, typer.Option(min=1, help="Rows that are decided online too.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the table and of the model.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Rows a second of a batch, its memory, and whether online decides the same."""
    with errors_told(as_json):
        from cli.bench_score import bench_score, readable

        with progress_told() as progress:
            told = bench_score(rows, sample, seed, progress)
    tell(told, as_json, lambda: readable(told))
    raise typer.Exit(1 if told["differences"] else 0)


def _readable_checks(told: dict[str, Any]) -> str:
    lines = [f"{told['rows']:,} rows: {told['seconds']:.1f} s, {told['peak_mb']:,} MB"]
    lines += [f"{code:<24}{seconds:>8.2f} s" for code, seconds in told["by_check"].items()]
    return "\n".join(lines)


def _readable_index(told: dict[str, Any]) -> str:
    heads = ("build s", "p50 ms", "p95 ms", "MB")
    lines = [f"{'vectors':>10} {'':<6}" + "".join(f"{h:>9}" for h in heads) + "  recall@10"]
    for one in told["measured"]:
        recall = one["recall_at_10"]
        lines.append(
            f"{one['rows']:>10,} {one['search']:<6}{one['build_s']:>9.1f}{one['p50_ms']:>9.2f}"
            f"{one['p95_ms']:>9.2f}{one['mb']:>9,.0f}  {recall['mean']:.4f} "
            f"[{recall['ci_low']:.4f}, {recall['ci_high']:.4f}]"
        )
    return "\n".join(
        [
            *lines,
            f"{told['queries']} queries for {told['depth']} neighbours in {told['dimensions']} "
            f"dimensions; an index of more than {told['flat_up_to']:,} vectors gets a graph",
        ]
    )


def _readable_embed(told: dict[str, Any]) -> str:
    heads = ("passages/s", "x plain", "x sorted", "rerun", "peak MB", "nDCG@10", "against minilm")
    lines = [f"{'':<16}" + "".join(f"{head:>12}" for head in heads[:-1]) + f"  {heads[-1]}"]
    for name, one in told["backends"].items():
        ndcg, paired = one["ndcg"], one["ndcg_against_minilm"]
        lines.append(
            f"{name:<16}{one['passages_per_s']:>12.1f}{one['ratio']:>12.2f}"
            f"{one['ratio_sorted']:>12.2f}{one['rerun_share']:>12.1%}{one['peak_mb']:>12,}"
            f"{ndcg['mean']:>12.4f}  {paired['diff']:+.4f} "
            f"[{paired['ci_low']:+.4f}, {paired['ci_high']:+.4f}]"
        )
    w = told["workers"]
    return "\n".join(
        [
            *lines,
            f"plain, batches of 32 as they come: {told['plain_per_s']:.1f}/s; "
            f"in one call, which sorts: {told['plain_sorted_per_s']:.1f}/s",
            f"two workers of one thread: {w['speed_up']:.2f}x one, on {w['cores']} cores",
            f"{told['passages']:,} passages and {told['backends'][told['chosen']]['ndcg']['n']} "
            f"questions of {told['data']}; RUNG_EMBEDDER={told['chosen']} is the fastest that "
            f"surely loses no more than {told['margin']} of nDCG",
        ]
    )
