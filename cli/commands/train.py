"""`rung train`: fit every model of a decision, judge it, and make it live where it earned that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.commands.snapshot import Events
from cli.decision_folder import DecisionFolder
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, progress_told, tell

if TYPE_CHECKING:
    from cli.home import Home
    from lab.fit_release import Asked
    from lab.register_release import Registered

Spec = Annotated[Path, typer.Argument(help="A decision's folder.")]


def train(
    spec: Spec,
    data: Annotated[
        Path | None, typer.Option(help="A table of past requests; it becomes a snapshot first.")
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(help="The id of a snapshot; without --data the newest is taken."),
    ] = None,
    events: Events = None,
    only: Annotated[
        Literal["router", "risk", "ranker", "scorer"] | None,
        typer.Option(help="Fit this part alone; the others stay as they are live."),
    ] = None,
    split: Annotated[
        Literal["temporal", "random"],
        typer.Option(help="random must be asked for, and its report says so."),
    ] = "temporal",
    heavier: Annotated[
        bool, typer.Option("--heavier", help="Try more and larger trees too.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.")] = 0,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Fit the baseline ladder or the whole ladder, ask the gate, and register what it lets in."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.snapshots import snapshot_of
        from cli.training import train as run

        folder = DecisionFolder.read(spec)
        _refuse_open(folder)
        with open_home() as home, progress_told() as progress:
            # Before the models are loaded: a bad file is told at once.
            if data is None and snapshot is None and not events:
                snapshot = _newest(home, tenant, folder.spec.name)
            rows = snapshot_of(home, tenant, folder.spec, data, snapshot, progress, events=events)
            base = _live(home, tenant, folder, only)
            from lab.fit_release import Asked

            asked = Asked(seed=seed, split=split, heavier=heavier, only=only, base=base)
            done = run(home, tenant, folder, rows, asked, progress)
        told = _told(folder, asked, done)
    tell(told, as_json, lambda: _readable(told))
    raise typer.Exit(0 if done.live else 1)


def _refuse_open(folder: DecisionFolder) -> None:
    """Whoever has not said what is predicted about whom cannot be told how well that goes."""
    from core.errors import InvalidDocument

    framing = folder.spec.framing
    for name in ("event", "population", "target", "owner"):
        if str(getattr(framing, name)).lower().startswith("to be written"):
            raise InvalidDocument(
                "RUNG-FRAMING-OPEN",
                f"framing.{name} is still to be written",
                way_out=f"Answer the questions in {folder.folder / 'decision.yaml'}.",
            )


def _newest(home: "Home", tenant: str, decision: str) -> str:
    from cli.snapshots import open_snapshots
    from core.errors import NotFound

    found = open_snapshots(home).list(tenant, decision)
    if not found:
        raise NotFound(
            "RUNG-SNAPSHOT-UNKNOWN",
            f"no snapshot of '{decision}' was made here",
            way_out="Name a table with --data, or make a snapshot of it with `rung snapshot`.",
        )
    note(f"the newest snapshot, {found[0].id[:12]} of {found[0].created_at[:16]}")
    return found[0].id


def _live(home: "Home", tenant: str, folder: DecisionFolder, only: str | None) -> str | None:
    """The release whose other parts are kept; one has to be live."""
    from core.errors import InvalidRequest

    if only is None:
        return None
    if not folder.spec.by_text:
        raise InvalidRequest(
            "RUNG-TRAIN-ONLY",
            f"{folder.spec.name} has one model, so there is nothing to keep",
            way_out="Leave --only out.",
        )
    return home.store.release_in_force(tenant, folder.spec.name)


def _told(folder: DecisionFolder, asked: "Asked", done: "Registered") -> dict[str, Any]:
    evaluation = done.fitted.evaluation
    return {
        "decision": folder.spec.name,
        "version": done.version.id,
        "release": done.version.artifact,
        "snapshot": evaluation.snapshot,
        "live": done.live,
        "trial": done.version.trial,
        "reasons": [dict(reason) for reason in done.version.reasons],
        "issues": [
            {key: one[key] for key in ("code", "severity", "evidence", "way_out", "page")}
            for one in done.checks
            if one["outcome"] == "issue"
        ],
        "gate": evaluation.gate.model_dump(mode="json"),
        "split": evaluation.split.model_dump(mode="json"),
        "report": done.fitted.report,
    }


def _readable(told: dict[str, Any]) -> str:
    from cli.reports import readable_gate

    lines = [
        f"{told['decision']}: version {told['version'][:12]}, release {told['release'][:12]}",
        "",
    ]
    if told["report"]:
        lines += readable_ladder(told["report"]["ladder"])
    gate = told["gate"]
    lines += ["", *readable_gate(gate), ""]
    for one in told["issues"]:
        lines.append(f"issue {one['code']} ({one['severity']}): {one['evidence']}")
        lines.append(f"  {one['way_out']} {one['page']}")
    if told["live"]:
        lines.append("live" + (", as a trial: the code is not committed" if told["trial"] else ""))
        if gate["problem"]:
            lines.append(f"but: {gate['problem']}")
    else:
        lines.append("not live:")
        lines += [f"  {one['code']}: {one['message']}. {one['way_out']}" for one in told["reasons"]]
    lines.append(f"the whole report: rung evaluate {told['decision']}")
    return "\n".join(lines)


def readable_ladder(report: dict[str, Any]) -> list[str]:
    unit = report["currency"]
    lines = ["who answered the test rows   share      n   right  [95 % interval]"]
    for rung, part in report["rungs"].items():
        right = "       -"
        if part["accuracy"]:
            a = part["accuracy"]
            right = f"{a['mean']:8.3f}  [{a['ci_low']:.3f}, {a['ci_high']:.3f}]"
        lines.append(f"  {rung:<26} {part['share']:6.3f} {part['n']:6d} {right}")
    cost = report["cost_per_decision"]
    lines += ["", f"cost of a decision: {_money(cost, unit)}"]
    for name, saved in report["saved_against"].items():
        lines.append(f"  saved against {name.replace('_', ' ')}: {_money(saved, unit)}")
    return lines


def _money(figure: dict[str, float], unit: str) -> str:
    interval = f"[{figure['ci_low']:.2f}, {figure['ci_high']:.2f}]"
    return f"{figure['mean']:.2f} {unit} {interval}, n = {figure['n']:.0f}"
