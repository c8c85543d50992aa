"""`rung`: everything from a terminal. Heavy imports stay inside the commands."""

from typing import Any

import typer
from typer.core import TyperGroup

from cli.commands.bench import app as bench
from cli.commands.check import check
from cli.commands.decide import decide
from cli.commands.embed import embed, worker
from cli.commands.evaluate import app as evaluate
from cli.commands.init import init
from cli.commands.jobs import app as jobs
from cli.commands.keys import app as keys
from cli.commands.parity import parity
from cli.commands.registry import app as registry
from cli.commands.score import score
from cli.commands.serve import serve
from cli.commands.snapshot import app as snapshots
from cli.commands.snapshot import snapshot
from cli.commands.train import train
from cli.told import usage_told


class Commands(TyperGroup):
    """Knows whether JSON is asked for before any word has been understood."""

    _as_json = False

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        self._as_json = "--json" in args
        with usage_told(self._as_json):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with usage_told(self._as_json):
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answer each request on the lowest rung that can be trusted with it.",
)
for command in (init, snapshot, check, train, decide, score, embed, serve, worker, parity):
    app.command()(command)
app.add_typer(evaluate, name="evaluate")
app.add_typer(bench, name="bench")
app.add_typer(jobs, name="jobs")
app.add_typer(keys, name="key")
app.add_typer(registry, name="registry")
app.add_typer(snapshots, name="snapshots")
