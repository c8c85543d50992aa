"""`rung parity`: whether training and serving read the same requests alike."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.decision_folder import DecisionFolder
from cli.told import AsJson, errors_told, progress_told, tell

Spec = Annotated[Path, typer.Argument(help="A decision's folder.")]


def parity(
    spec: Spec,
    requests: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many are drawn, and as many events.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Send drawn requests and events down both paths and compare every value, byte by byte."""
    with errors_told(as_json):
        folder = DecisionFolder.read(spec)
        from lab.parity import compare

        with progress_told() as progress:
            told = compare(folder.spec, requests=requests, seed=seed, progress=progress)
    tell(told, as_json, lambda: readable(told))
    raise typer.Exit(1 if told["differences"] else 0)


def readable(told: dict[str, Any]) -> str:
    lines = [
        f"{told['decision']}: {told['compared']} requests, {len(told['values'])} values of each, "
        f"seed {told['seed']}",
        f"differences: {told['differences']}, the largest {told['max_abs_diff']:g}",
    ]
    for example in told["examples"]:
        lines.append(
            f"  request {example['request']}, {example['value']}: "
            f"online {example['online']!r}, offline {example['offline']!r}"
        )
    return "\n".join(lines)
