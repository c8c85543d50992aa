"""`rung decide`: requests through the live ladder, or through the rules of one file alone."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decision_folder import DecisionFolder, is_decision
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note
from core.text_file import read_text

if TYPE_CHECKING:
    from router.live import Live

Spec = Annotated[
    str, typer.Argument(help="A trained decision's name or folder, or a rule file such as r.yaml.")
]
Facts = Annotated[Path, typer.Option(help="JSON Lines, one request's facts a line.")]


def decide(
    spec: Spec, facts: Facts, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False
) -> None:
    """Decide on requests and print the trace of each."""
    with errors_told(as_json):
        from core.json_source import parse_json_lines

        # All are read before any is decided: a bad line leaves no half answer behind.
        requests = list(parse_json_lines(read_text(facts)))
        if spec.endswith((".yaml", ".yml")) and not is_decision(Path(spec)):
            _by_rules(Path(spec), requests, as_json)
        else:
            _by_ladder(spec, requests, tenant, as_json)


def _by_rules(path: Path, requests: list[tuple[int, Any]], as_json: bool) -> None:
    from cli.render import readable_rules
    from rules.ruleset import RulesEngine

    engine = RulesEngine.from_text(read_text(path))
    decided = [(request, engine.decide(request)) for _, request in requests]
    for request, verdict in decided:
        if as_json:
            typer.echo(json.dumps(asdict(verdict)))
        else:
            typer.echo(f"\n{json.dumps(request)}\n{readable_rules(verdict)}")


def _by_ladder(spec: str, requests: list[tuple[int, Any]], tenant: str, as_json: bool) -> None:
    from cli.home import open_home, open_runtime
    from cli.render import readable_decision, readable_facts
    from core.errors import RungError
    from core.store.codec import to_text

    name = name_of(spec)
    with open_home() as home:
        runtime = open_runtime(home)
        note("loading the models ...")

        async def run() -> None:
            live = await runtime.live(tenant, name)
            tell_if_changed(spec, live)
            for line, request in requests:  # a bad one is told before the first is decided
                try:
                    runtime.request(live.spec, tenant, request)
                except RungError as error:
                    error.line = line
                    raise
            try:
                for _, request in requests:
                    decision = await runtime.decide(tenant, name, request)
                    if as_json:
                        typer.echo(to_text(decision))
                    else:
                        typer.echo(f"\n{readable_facts(request)}\n{readable_decision(decision)}")
            finally:
                await runtime.close()

        asyncio.run(run())


def tell_if_changed(spec: str, live: "Live") -> None:
    """A folder names a decision; what answers is what was trained."""
    if not is_decision(Path(spec)):
        return
    folder = DecisionFolder.read(Path(spec))
    if (folder.decision_yaml, folder.rules_yaml) != live.written:
        note(f"{spec} differs from the live release, which answers; `rung train` takes it over")


def name_of(spec: str) -> str:
    """A decision is named, or found by its folder."""
    if not is_decision(Path(spec)):
        return spec
    from core.spec import load_spec

    return load_spec(Path(spec)).name
