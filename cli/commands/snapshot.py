"""`rung snapshot` and `rung snapshots`: immutable tables of a decision's past, known by content."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, progress_told, tell

app = typer.Typer(no_args_is_help=True, help="The snapshots that were made.")

Id = Annotated[str, typer.Argument(help="A snapshot's id, or as many of its digits as are unique.")]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--events",
        help="TYPE=FILE: events of a type of entity, as JSON Lines or Parquet; may be repeated. "
        "Without it the events that the API was told are joined.",
    ),
]
SHORT = 12  # digits of a digest that a person compares


def snapshot(
    spec: Annotated[Path, typer.Argument(help="A decision's folder.")],
    data: Annotated[Path, typer.Argument(help="A table: CSV (also .gz), JSON Lines or Parquet.")],
    events: Events = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Freeze a table as decision.yaml reads it; the same content has the same id everywhere."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.snapshots import snapshot_of
        from core.spec import load_spec

        described = load_spec(spec)
        with open_home() as home, progress_told() as progress:
            made = snapshot_of(home, tenant, described, data, None, progress, events=events)
            told = made.manifest.to_dict()
    tell(told, as_json, lambda: "\n".join(_readable(told)))


@app.command("list")
def listed(
    decision: Annotated[str | None, typer.Option(help="Of this decision alone.")] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """The snapshots of a tenant, the newest first."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.snapshots import open_snapshots

        with open_home() as home:
            found = [one.to_dict() for one in open_snapshots(home).list(tenant, decision)]
    keys = ("id", "decision", "rows", "time_range", "schema_version", "source", "created_at")
    told = [{key: one[key] for key in keys} for one in found]
    tell({"snapshots": told}, as_json, lambda: "\n".join(map(_line, told)) or "no snapshots")


@app.command("show")
def show(snapshot: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Columns, rows, times and source of a snapshot."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.snapshots import open_snapshots

        with open_home() as home:
            told = open_snapshots(home).get(tenant, snapshot).manifest.to_dict()
    tell(told, as_json, lambda: "\n".join(_readable(told)))


@app.command("diff")
def difference(a: Id, b: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """What has changed from one snapshot to another."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.snapshots import open_snapshots
        from lab.snapshots import diff

        with open_home() as home:
            store = open_snapshots(home)
            told = diff(store.get(tenant, a), store.get(tenant, b))
    tell(told, as_json, lambda: "\n".join(_readable_diff(told)))


def _line(one: dict[str, Any]) -> str:
    return (
        f"{one['id'][:SHORT]}  {one['created_at'][:16]}  {one['decision']}: {one['rows']:,} rows, "
        f"{_times(one['time_range'])}, of {one['source']['name']}"
    )


def _times(told: list[str] | None) -> str:
    return f"{told[0][:16]} to {told[1][:16]}" if told else "in the order of the table"


def _readable(told: dict[str, Any]) -> list[str]:
    lines = [f"snapshot {told['id']}", f"  {_line(told)}"]
    lines.append(f"  schema version {told['schema_version'][:SHORT]}")
    for name, info in told["columns"].items():
        nulls = f", {info['nulls']:,} unknown" if info["nulls"] else ""
        lines.append(f"  {name:<28} {info['type']:<10} {info['digest'][:SHORT]}{nulls}")
    if told["ignored"]:
        left = ", ".join(told["ignored"])
        lines.append(f"  left out, as decision.yaml does not declare them: {left}")
    return lines


def _readable_diff(told: dict[str, Any]) -> list[str]:
    rows, times = told["rows"], told["time_range"]
    lines = [
        f"{told['earlier'][:SHORT]} -> {told['later'][:SHORT]}",
        f"  rows {rows['before']:,} -> {rows['after']:,}",
        f"  {_times(times['before'])} -> {_times(times['after'])}",
    ]
    if told["schema_version_changed"]:
        lines.append("  the schema version has changed")
    for name in ("added", "removed"):
        lines += [f"  column {column}: {name}" for column in told[name]]
    for column, kinds in told["retyped"].items():
        lines.append(f"  column {column}: {kinds['before']} -> {kinds['after']}")
    for column, part in told["columns"].items():
        before, after = part["nulls"]["before"], part["nulls"]["after"]
        parts = [f"unknown {before:.1%} -> {after:.1%}"]
        if quantiles := part.get("quantiles"):
            shown = [f"{q['p50']:g}" if q else "-" for q in quantiles.values()]
            parts.append(f"median {' -> '.join(shown)}")
        for key in ("new_values", "vanished_values"):
            if part.get(key):
                parts.append(f"{key.replace('_', ' ')}: {', '.join(part[key][:5])}")
        lines.append(f"  {column}: {'; '.join(parts)}")
    lines.append(f"  {len(told['equal'])} columns hold the very same")
    return lines
