"""An evaluation for people: the page, the Markdown, and the lines of a terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.told import note

if TYPE_CHECKING:
    from cli.home import Home

MARKS = {True: "holds", False: "FAILS", None: "unknown"}


def write_reports(
    home: "Home",
    told: Mapping[str, Any],
    html: Path | None,
    markdown: Path | None,
) -> dict[str, str]:
    """Where no file is named the page lies in the home, as whoever evaluates wants to look."""
    if html is None:
        html = home.settings.home / "reports" / f"{told['decision']}.html"
        html.parent.mkdir(parents=True, exist_ok=True)
    return write_named(told["evaluation"], html, markdown, told["checks"])


def refuse_missing_folders(*paths: Path | None) -> None:
    """Before the work: who waits for a report must not learn at its end that it has no place."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise _unwritable(path, "its folder does not exist")


def _unwritable(path: Path, why: str) -> Exception:
    from core.errors import InvalidDocument

    return InvalidDocument(
        "RUNG-FILE-WRITE",
        f"{path} cannot be written ({why})",
        way_out="Name a file in a folder where you may write.",
    )


def write_named(
    evaluation: Mapping[str, Any],
    html: Path | None,
    markdown: Path | None,
    checks: Sequence[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """Raises InvalidDocument where a file cannot be written."""
    from lab.evaluation import Evaluation
    from lab.report import render_html, render_markdown

    told = Evaluation.model_validate(evaluation)
    written = {}
    for kind, path, render in (
        ("html", html, render_html),
        ("markdown", markdown, render_markdown),
    ):
        if path is not None:
            note(f"writing {path}")
            _write(path, render(told, checks=checks))
            written[kind] = str(path)
    return written


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, "utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, type(error).__name__) from error


def readable_evaluation(told: Mapping[str, Any]) -> list[str]:
    """The ladder, the gate and the slices that are worse."""
    metric, split = told["metric"], told["split"]
    lines = [
        f"{told['decision']}: {told['unit']}, {split['kind']} split, "
        f"{split['fit']:,} fit / {split['validation']:,} validation / {split['test']:,} test rows",
        f"{'step':<18}{metric:>10}  [95 % interval]",
    ]
    for step in told["steps"]:
        figure = step["figures"].get(metric)
        shown = f"{figure['mean']:10.4f}  {_interval(figure)}" if figure else f"  {step['absent']}"
        lines.append(f"{step['name']:<18}{shown}")
    if comparison := told["split_comparison"]:
        lines.append(
            f"AUC: random split {comparison['random']['mean']:.3f} "
            f"{_interval(comparison['random'])}, temporal {comparison['temporal']['mean']:.3f} "
            f"{_interval(comparison['temporal'])}"
        )
        lines.append(f"  gap: {comparison['gap']['mean']:.3f} {_interval(comparison['gap'])}")
        lines.append(f"  believe the {comparison['believe']} one: {comparison['why']}")
    if share := told["share_of_heaviest"]:
        lines.append(
            f"{share['step']} reaches {share['share']['mean']:.3f} {_interval(share['share'])} of "
            f"what the heaviest step reaches by {share['metric']}"
        )
    lines += ["", *readable_gate(told["gate"])]
    worse = [row for row in told["slices"] if row["verdict"] == "worse"]
    few = sum(row["verdict"] == "insufficient data" for row in told["slices"])
    if told["slices"]:
        lines.append(f"slices: {len(told['slices'])}, worse: {len(worse)}, too few rows: {few}")
    lines += [f"  {row['slice']} = {row['value']}: n = {row['n']}" for row in worse]
    return lines


def readable_gate(gate: Mapping[str, Any]) -> list[str]:
    lines = [f"the gate registers: {gate['registered']}"]
    lines += [f"  {MARKS[one['holds']]:<8}{one['what']}" for one in gate["reasons"]]
    return [*lines, f"  {gate['problem']}"] if gate["problem"] else lines


def _interval(figure: Mapping[str, float]) -> str:
    return f"[{figure['ci_low']:.4f}, {figure['ci_high']:.4f}] n = {figure['n']:,}"
