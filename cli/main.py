"""`rung`: everything from a terminal. Heavy imports stay inside the commands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from core.contracts import NodeTrace, Verdict
    from rules.ruleset import RulesEngine

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
evaluate = typer.Typer(no_args_is_help=True, help="Figures on your own files.")
app.add_typer(evaluate, name="evaluate")
RulesFile = Annotated[Path, typer.Argument(help="A rule file, such as rules.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
MARKS = {True: "yes", False: "no", None: "unknown"}


@contextmanager
def _errors_told(as_json: bool) -> Iterator[None]:
    from core.errors import RungError

    try:
        yield
    except RungError as error:
        told = {"code": error.code, "message": error.message, "line": error.line}
        told["way_out"] = error.way_out
        typer.echo(json.dumps({"error": told}) if as_json else str(error), err=not as_json)
        raise typer.Exit(2) from error


def _read(path: Path) -> str:
    from core.errors import InvalidDocument

    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError, ValueError) as error:
        raise InvalidDocument(
            "RUNG-FILE-READ",
            f"{path} cannot be read ({error.__class__.__name__})",
            way_out="Name an existing UTF-8 text file.",
        ) from error


def _engine(path: Path) -> "RulesEngine":
    from rules.ruleset import RulesEngine

    return RulesEngine.from_text(_read(path))


def _facts(path: Path) -> Iterator[Any]:
    from core.errors import InvalidDocument

    for number, line in enumerate(_read(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield json.loads(line, parse_constant=_no_such_number)
        except (ValueError, RecursionError) as error:
            raise InvalidDocument(
                "RUNG-JSON-SYNTAX",
                "not a JSON object",
                way_out="Write one JSON object a line.",
                line=number,
            ) from error


def _no_such_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


@app.command()
def check(rules: RulesFile, as_json: AsJson = False) -> None:
    """Validate a rule file and run the test cases inside it."""
    with _errors_told(as_json):
        engine = _engine(rules)
        failures = engine.run_cases()
    total = len(engine.ruleset.tests)
    if as_json:
        told = [failure.model_dump(mode="json") for failure in failures]
        typer.echo(json.dumps({"version": engine.version, "cases": total, "failures": told}))
    else:
        for failure in failures:
            typer.echo(f"FAILED {failure.name}: expected {failure.expected}, got {failure.actual}")
        typer.echo(f"{total - len(failures)} of {total} cases hold ({rules}, {engine.version})")
    raise typer.Exit(1 if failures else 0)


@app.command()
def decide(
    rules: RulesFile,
    facts: Annotated[Path, typer.Option(help="JSON Lines, one request's facts a line.")],
    as_json: AsJson = False,
) -> None:
    """Decide on requests by the rules and print the trace of each."""
    with _errors_told(as_json):
        engine = _engine(rules)
        # All are decided before any is printed: a bad line leaves no half answer behind.
        decided = [(request, engine.decide(request)) for request in _facts(facts)]
    for request, verdict in decided:
        if as_json:
            typer.echo(json.dumps(asdict(verdict)))
        else:
            typer.echo(f"\n{json.dumps(request)}\n{_readable(verdict)}")


@evaluate.command("router")
def evaluate_router(
    train: Annotated[Path, typer.Option(help="CSV with labelled texts to fit and choose on.")],
    test: Annotated[Path, typer.Option(help="CSV that is scored once.")],
    text: Annotated[str, typer.Option(help="The column of the text.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the intent.")] = "label",
    as_json: AsJson = False,
) -> None:
    """Fit the intent model on one file and report its figures on another."""
    with _errors_told(as_json):
        from lab.tables import read_labelled_texts

        # Both files are read before the models are loaded: a bad one is told at once.
        rows = read_labelled_texts(train, text=text, label=label)
        held_out = read_labelled_texts(test, text=text, label=label)
        from lab.evaluate_router import evaluate_router as evaluate_on
        from lab.fit_intent import fit_intent
        from rankers.embedder import MiniLMEmbedder

        model = fit_intent(rows, MiniLMEmbedder(), progress=lambda s: typer.echo(s, err=True))
        typer.echo("scoring the test file", err=True)
        report = evaluate_on(model, rows, held_out)
    typer.echo(json.dumps(report, indent=None if as_json else 2))


def _readable(verdict: "Verdict") -> str:
    answer = ", ".join(verdict.outcomes) or ("a person" if verdict.escalate else "no rule applies")
    lines = [f"  => {answer}" + "".join(f" ({reason})" for reason in verdict.reasons)]
    for rule in verdict.trace:
        lines.append(f"     {rule.rule}: {rule.effect}")
        lines.extend(_nodes(rule.node, 8))
    return "\n".join(lines)


def _nodes(node: "NodeTrace", indent: int) -> Iterator[str]:
    yield f"{' ' * indent}{node.label}: {MARKS[node.truth]}{f' ({node.note})' if node.note else ''}"
    for child in node.children:
        yield from _nodes(child, indent + 2)
