"""How a command speaks: errors with their way out, JSON for machines, progress for people."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def _tenant(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise typer.BadParameter("small letters, digits, _ and -, at most 63 of them")
    return value


Tenant = Annotated[
    str, typer.Option(help="The tenant that everything belongs to.", callback=_tenant)
]
DEFAULT_TENANT = "default"


@contextmanager
def errors_told(as_json: bool) -> Iterator[None]:
    """A refusal leaves with exit code 2, and never with a traceback."""
    from core.errors import RungError

    try:
        yield
    except RungError as error:
        told = {"code": error.code, "message": error.message, "line": error.line}
        told["way_out"] = error.way_out
        typer.echo(json.dumps({"error": told}) if as_json else str(error), err=not as_json)
        raise typer.Exit(2) from error


@contextmanager
def usage_told(as_json: bool) -> Iterator[None]:
    """Words that make no command, as any other refusal where JSON is asked for."""
    try:
        yield
    except typer.TyperException as error:
        if not as_json:
            raise
        told = {"code": "RUNG-CLI-USAGE", "message": error.format_message(), "line": None}
        told["way_out"] = "Ask the command with --help."
        typer.echo(json.dumps({"error": told}))
        raise typer.Exit(2) from error


def tell(content: Any, as_json: bool, readable: Callable[[], str]) -> None:
    typer.echo(json.dumps(content, allow_nan=False) if as_json else readable())


def note(text: str) -> None:
    """A line for people; standard output stays for the answer."""
    typer.echo(text, err=True)


@contextmanager
def progress_told() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each step on standard error; plain lines where it is no terminal."""
    if not sys.stderr.isatty():
        seen: set[str] = set()

        def line(step: str, done: int, total: int) -> None:
            if step not in seen:
                seen.add(step)
                note(f"{step} ...")

        yield line
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def bar(step: str, done: int, total: int) -> None:
            if step not in tasks:
                for other in tasks.values():  # the steps follow one another
                    bars.update(other, completed=bars.tasks[other].total)
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield bar
        for task in tasks.values():
            bars.update(task, completed=bars.tasks[task].total)
