"""`rung registry`: the versions of a decision, what they are worth and what they are made of."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, progress_told, tell

app = typer.Typer(no_args_is_help=True, help="Trained versions: where they come from, what for.")

Id = Annotated[str, typer.Argument(help="A version's id, or as many of its digits as are unique.")]
SHORT = 12  # digits of a digest that a person compares
LABEL = 30


@app.command("list")
def listed(
    decision: Annotated[str | None, typer.Option(help="Of this decision alone.")] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """The versions of a tenant, the newest first."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.registry_views import summaries

        with open_home() as home:
            told = summaries(home, tenant, home.store.versions(tenant, decision))
    tell({"versions": told}, as_json, lambda: "\n".join(map(_line, told)) or "no versions")


@app.command("show")
def show(version: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """What was registered, what the gate said, and what is in the way of going live."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.registry_views import shown

        with open_home() as home:
            told = shown(home, tenant, home.store.version(tenant, version))
    tell(told, as_json, lambda: "\n".join(_readable_version(told)))


@app.command("compare")
def compare(a: Id, b: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Two versions side by side: figures, changed slices, and what they were made of."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.registry_views import compared

        with open_home() as home:
            both = [home.store.version(tenant, prefix) for prefix in (a, b)]
            told = compared(home, tenant, *both)
    tell(told, as_json, lambda: "\n".join(_readable_comparison(told)))


@app.command("lineage")
def lineage(version: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """What a version was made of, as digests."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.registry_views import lineage_told

        with open_home() as home:
            told = lineage_told(home.store.version(tenant, version))
    tell(told, as_json, lambda: "\n".join(_tree(told)))


@app.command("promote")
def promote(
    version: Id,
    decision: Annotated[
        str | None, typer.Option(help="Refuse a version of any other decision.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Why, for whoever reads the version's story later.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Make a registered version live; an older one again is a rollback."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.promoting import promote as run

        with open_home() as home:
            told = run(home, tenant, version, decision, reason)
    tell(told, as_json, lambda: "\n".join(_readable_promotion(told)))


@app.command("reproduce")
def reproduce(version: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Train it again from its lineage; exit code 1 where other bytes come out."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.registry_views import reproduced

        with open_home() as home, progress_told() as progress:
            found = home.store.version(tenant, version)
            from cli.training import retrain

            told = reproduced(home, tenant, found, retrain, progress)
    tell(told, as_json, lambda: "\n".join(readable_reproduction(told)))
    if not told["reproduced"]:
        raise typer.Exit(1)


def _readable_promotion(told: dict[str, Any]) -> Iterator[str]:
    before = f"release {told['before'][:SHORT]}" if told["before"] else "nothing"
    yield (
        f"{told['decision']}: version {told['id'][:SHORT]} ({told['step']}) is live, release "
        f"{told['release'][:SHORT]}; before it {before}"
    )
    yield "a server that runs takes it over with the first request that comes a second later"
    yield "each decision names its release; `rung registry list` marks the version that is live"


def _line(told: dict[str, Any]) -> str:
    marks = [told["state"], *(mark for mark in ("live", "trial") if told[mark])]
    return (
        f"{told['id'][:SHORT]}  {told['created_at'][:16]}  {told['decision']}: {told['step']} "
        f"({', '.join(marks)})"
    )


def _readable_version(told: dict[str, Any]) -> Iterator[str]:
    yield _line(told)
    for name in ("artifact", "evaluation", "snapshot", "revision", "promoted_at"):
        yield f"  {name:<12} {told[name] or '-'}"
    for one in told["promotions"]:
        why = f": {one['reason']}" if one["reason"] else ""
        yield f"  made live    {one['at'][:16]} by {one['who'] or 'training'}{why}"
    for reason in told["reasons"]:
        yield f"  {reason['code']}: {reason['message']}. {reason['way_out']}"
    if told["gate"]:
        yield ""
        yield f"the gate registered {told['gate']['registered']}"
        for reason in told["gate"]["reasons"]:
            yield f"  {_mark(reason['holds']):<8} {reason['code']:<18} {reason['what']}"
        if told["gate"]["problem"]:
            yield f"  {told['gate']['problem']}"
        yield ""
    for row in told["figures"]:
        yield f"  {row['step'] + ' ' + row['metric']:<{LABEL}} {_figure(row)}"


def _mark(holds: bool | None) -> str:
    return {True: "holds", False: "fails", None: "unknown"}[holds]


def _readable_comparison(told: dict[str, Any]) -> Iterator[str]:
    yield f"a  {_line(told['a'])}"
    yield f"b  {_line(told['b'])}"
    yield "on the same data" if told["same_data"] else "on different data"
    yield ""
    for row in told["figures"]:
        sides = " -> ".join(_figure(row[side]) for side in ("a", "b"))
        yield f"  {row['step'] + ' ' + row['metric']:<{LABEL}} {sides}"
    yield f"({told['note']})"
    yield ""
    yield "slices whose verdict changed" if told["slices"] else "no slice's verdict changed"
    for row in told["slices"]:
        sides = " -> ".join(_slice(row[side]) for side in ("a", "b"))
        yield f"  {row['slice']} = {row['value']}: {sides}"
    yield ""
    yield "made of" if told["lineage"] else "made of the same"
    for row in told["lineage"]:
        yield f"  {row['part']:<{LABEL}} {_short(row['a'])} -> {_short(row['b'])}"


def _slice(row: dict[str, Any] | None) -> str:
    return f"{row['verdict']} (n = {row['n']})" if row else "not looked at"


def _figure(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    clusters = f" in {row['clusters']} clusters" if row["clusters"] is not None else ""
    interval = f"[{row['ci_low']:.4g}, {row['ci_high']:.4g}]"
    return f"{row['mean']:.4g} {interval}, n = {row['n']}{clusters}"


def _tree(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['decision']} version {told['id'][:SHORT]}"
    order = (
        "code",
        "snapshot",
        "features",
        "spec",
        "parameters",
        "indexes",
        "environment",
        "evaluation",
    )
    for name in order:
        yield from _branch(name, told["lineage"][name], "├── ", "│   ")
    yield f"└── artifact {told['artifact']}"


def _branch(name: str, content: Any, here: str, below: str) -> Iterator[str]:
    if not isinstance(content, dict) or not content:
        yield f"{here}{name} {_short(content, whole=True)}"
        return
    yield f"{here}{name}"
    *others, last = content.items()
    for inner, value in others:
        yield from _branch(inner, value, f"{below}├── ", f"{below}│   ")
    yield from _branch(last[0], last[1], f"{below}└── ", f"{below}    ")


def _short(value: Any, *, whole: bool = False) -> str:
    if value is None or value in ({}, []):
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if whole or len(text) < 40 else text[:SHORT]


def readable_reproduction(told: dict[str, Any]) -> Iterator[str]:
    if told["reproduced"]:
        yield f"reproduced: {told['artifact']}"
    else:
        yield f"not reproduced: {told['obtained']}, where {told['artifact']} was registered"
    if not told["reproduced"] and not told["differs"]:
        yield "code and environment are as they were, so training does not repeat itself"
    for row in told["differs"]:
        yield f"  {row['part']:<{LABEL}} {_short(row['then'])} -> {_short(row['now'])}"
