"""`rung evaluate`: figures on your own files, each with its interval."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.commands.snapshot import Events
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, progress_told, tell

AVAILABLE = ("router", "ranker")
RESERVED = (*AVAILABLE, "scorer", "tiers")
WHATEVER = {"ignore_unknown_options": True, "allow_extra_args": True}


class _DecisionOrWord(TyperGroup):
    """A first word that is not reserved is a decision's folder or name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in AVAILABLE:
            args = ["reserved" if args[0] in RESERVED else "decision", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_DecisionOrWord,
    no_args_is_help=True,
    help="Figures on your own files: of a decision, named by its folder, or of one of these.",
)


Html = Annotated[
    Path | None, typer.Option("--html", help="Write the report as one page that opens offline.")
]
Markdown = Annotated[Path | None, typer.Option(help="Write the report as Markdown.")]


@app.command("decision", hidden=True)
def decision(
    spec: Annotated[str, typer.Argument(help="A trained decision's folder or name.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A table whose outcomes are known; without it, what training saw last."),
    ] = None,
    events: Events = None,
    version: Annotated[
        str | None, typer.Option(help="The version whose report is shown; the newest otherwise.")
    ] = None,
    html: Html = None,
    markdown: Markdown = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """The report of a trained version, or of the live release on other rows."""
    with errors_told(as_json):
        from cli.evaluating import judged_on, report_of
        from cli.home import open_home
        from cli.reports import refuse_missing_folders, write_reports

        refuse_missing_folders(html, markdown)

        with open_home() as home, progress_told() as progress:
            if data is None:
                told = report_of(home, tenant, spec, version)
            else:
                told = judged_on(home, tenant, spec, data, events, seed, progress)
            files = write_reports(home, told, html, markdown)
    tell({**told, "files": files}, as_json, lambda: _readable_decision(told, files))


def _readable_decision(told: dict[str, Any], files: dict[str, str]) -> str:
    from cli.commands.train import readable_ladder
    from cli.reports import readable_evaluation

    lines = readable_evaluation(told["evaluation"])
    if told["ladder"]:
        lines += ["", *readable_ladder(told["ladder"])]
    lines += ["", *(f"{kind}: {path}" for kind, path in files.items())]
    return "\n".join(lines)


@app.command("reserved", hidden=True, context_settings=WHATEVER)
def reserved(
    word: Annotated[str, typer.Argument(help="A word that a later version will know.")],
    as_json: AsJson = False,
) -> None:
    """Refused, so that no script comes to rely on a decision of that name."""
    with errors_told(as_json):
        from core.errors import InvalidRequest

        raise InvalidRequest(
            "RUNG-COMMAND-RESERVED",
            f"`rung evaluate {word}` is reserved and not available yet",
            way_out=f"Use one of: {', '.join(AVAILABLE)}, or name a decision's folder.",
        )


@app.command("router")
def router(
    train: Annotated[Path, typer.Option(help="CSV with labelled texts to fit and choose on.")],
    test: Annotated[Path, typer.Option(help="CSV that is scored once.")],
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the intent.")] = "label",
    out_of_scope: Annotated[
        str | None, typer.Option(help="The label of rows that belong to no intent.")
    ] = None,
    slice_by: Annotated[
        list[str] | None, typer.Option("--slice", help="A column to report by; may be repeated.")
    ] = None,
    html: Html = None,
    markdown: Markdown = None,
    seed: Annotated[int, typer.Option(help="Of folds and resampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the intent model on one file and report its figures on another."""
    with errors_told(as_json):
        from cli.reports import refuse_missing_folders, write_named
        from lab.tables import read_labelled_texts

        refuse_missing_folders(html, markdown)
        # Both files are read before the models are loaded: a bad one is told at once.
        slices = tuple(slice_by or ())
        rows = read_labelled_texts(train, text=text, label=label)
        held_out = read_labelled_texts(test, text=text, label=label, slices=slices)
        from cli.home import embedder_of
        from core.settings import Settings
        from lab.evaluate_router import evaluate_router as evaluate_on
        from lab.fit_intent import fit_intent
        from lab.reproducible import one_blas_thread

        embedder = embedder_of(Settings.from_environment(os.environ))
        with one_blas_thread():
            model = fit_intent(rows, embedder, out_of_scope=out_of_scope, seed=seed, progress=note)
        note("scoring the test file")
        report = evaluate_on(model, rows, held_out, out_of_scope=out_of_scope, seed=seed)
        write_named(report["evaluation"], html, markdown)
    tell(report, as_json, lambda: _readable_router(report))


@app.command("ranker")
def ranker(
    beir: Annotated[Path, typer.Option(help="A folder in the BEIR layout.")],
    html: Html = None,
    markdown: Markdown = None,
    seed: Annotated[int, typer.Option(help="Of fitting and resampling.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the learned ranker, and hold it against the untrained hybrid on the test queries."""
    with errors_told(as_json), progress_told() as progress:
        from cli.reports import refuse_missing_folders, write_named
        from lab.beir import read_beir

        refuse_missing_folders(html, markdown)
        read_beir(beir)  # a bad folder is told before the models are loaded
        from cli.home import embedder_of
        from core.settings import Settings
        from lab.evaluate_ranker import evaluate_ranker

        embedder = embedder_of(Settings.from_environment(os.environ))
        report = evaluate_ranker(beir, embedder, seed=seed, progress=progress)
        write_named(report["evaluation"], html, markdown)
    tell(report, as_json, lambda: _readable_ranker(report))


def _readable_router(report: dict[str, Any]) -> str:
    lines = [f"{'figure':<34}{'value':>9}   95 % interval   (n = {report['n']})"]
    for name, interval in sorted(report["intervals"].items()):
        lines.append(f"{name:<34}{report[name]:9.4f}   {_interval(*interval)}")
    for row in report["coverage"]:
        name = f"accuracy, surest {row['coverage']:.0%}"
        lines.append(
            f"{name:<34}{row['accuracy']:9.4f}   {_interval(row['ci_low'], row['ci_high'])}"
        )
    for name, base in report["baselines"].items():
        over = f"over {name} ({base['accuracy']:.3f}), paired"
        lines.append(
            f"{over:<34}{base['diff']:+9.4f}   {_interval(base['ci_low'], base['ci_high'])}"
        )
    for name in ("oos_auroc", "oos_recall", "in_scope_accuracy"):
        if name in report:
            lines.append(
                f"{name:<34}{report[name]:9.4f}   {_interval(*report['oos_intervals'][name])}"
            )
    for column, values in report.get("slices", {}).items():
        for value, part in values.items():
            shown = part.get("verdict") or f"{part['accuracy']:.4f}"
            lines.append(f"{f'{column} = {value}':<34}{shown:>9}   n = {part['n']}")
    lines.append(f"{'share that needed the embedding':<34}{report['embedding_share']:9.3f}")
    p50, p99 = report["latency_ms"]["p50"], report["latency_ms"]["p99"]
    lines.append(f"one request at a time: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return "\n".join(lines)


def _readable_ranker(report: dict[str, Any]) -> str:
    metrics = ("ndcg@10", "ndcg@1", "success@1", "recall@100", "map", "mrr@10")
    lines = [f"{'system':<10}" + "".join(f"{name:>12}" for name in metrics)]
    for name, system in report["systems"].items():
        lines.append(f"{name:<10}" + "".join(f"{system[metric]:12.4f}" for metric in metrics))
    up = report["uplift"]
    lines.append(
        f"learned over hybrid, {up['metric']}: {up['diff']:+.4f} "
        f"{_interval(up['ci_low'], up['ci_high'])}, n = {report['n_queries']}"
    )
    lines.append(f"promoted: {report['promoted']}   (gain: {report['gain']})")
    return "\n".join(lines)


def _interval(low: float, high: float) -> str:
    return f"[{low:.4f}, {high:.4f}]"
