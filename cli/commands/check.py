"""`rung check`: what its owner wrote, and the rows it is to learn from, held against themselves."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.snapshot import Events
from cli.decision_folder import DecisionFolder, is_decision
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, progress_told, tell
from core.text_file import read_text

if TYPE_CHECKING:
    from rules.ruleset import RulesEngine

Spec = Annotated[Path, typer.Argument(help="A decision's folder, or a rule file.")]
# What its owner has to do something about stands first.
ORDER = ("issue", "tip", "insufficient data", "not applicable", "passed")


def check(
    spec: Spec,
    snapshot: Annotated[
        str | None, typer.Option(help="The id of a snapshot whose rows are checked too.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="A table to check too; it becomes a snapshot first.")
    ] = None,
    events: Events = None,
    against: Annotated[
        str | None, typer.Option(help="The id of another snapshot, to see what has changed.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Validate a decision's folder or a rule file, run the cases inside the rules, check rows."""
    with errors_told(as_json):
        with_rows = snapshot is not None or data is not None
        if not is_decision(spec) if with_rows else (against or events):
            raise _no_rows_named(spec)
        if is_decision(spec):
            folder = DecisionFolder.read(spec)
            told = _of_decision(folder)
            if with_rows:
                told |= _of_rows(folder, tenant, data, snapshot, events, against)
        else:
            from rules.ruleset import RulesEngine

            rules = RulesEngine.from_text(read_text(spec))
            told = {"decision": None, "corpora": {}, **_of_rules(rules), **_no_rows()}
    tell(told, as_json, lambda: _readable(spec, told))
    raise typer.Exit(1 if told["failures"] or _serious(told["checks"]) else 0)


def _no_rows_named(spec: Path) -> Exception:
    from core.errors import InvalidRequest

    return InvalidRequest(
        "RUNG-SNAPSHOT-CHOICE",
        "a rule file alone has no rows that could be checked"
        if not is_decision(spec)
        else "--against and --events say how rows are checked, and no rows were named",
        way_out="Name a decision's folder, and one of --data FILE and --snapshot ID.",
    )


def _serious(checks: Sequence[dict[str, Any]]) -> bool:
    return any(one["outcome"] == "issue" and one["severity"] == "high" for one in checks)


def _of_decision(folder: DecisionFolder) -> dict[str, Any]:
    corpora = {corpus: len(folder.documents(corpus)) for corpus in folder.spec.corpora}
    name = f"{folder.spec.name} {folder.spec.version}"
    return {"decision": name, "corpora": corpora, **_of_rules(folder.rules), **_no_rows()}


def _of_rules(engine: "RulesEngine") -> dict[str, Any]:
    failures = [failure.model_dump(mode="json") for failure in engine.run_cases()]
    return {"version": engine.version, "cases": len(engine.ruleset.tests), "failures": failures}


def _no_rows() -> dict[str, Any]:
    return {"snapshot": None, "checks": []}


def _of_rows(
    folder: DecisionFolder,
    tenant: str,
    data: Path | None,
    snapshot: str | None,
    events: list[str] | None,
    against: str | None,
) -> dict[str, Any]:
    from cli.home import open_home
    from cli.snapshots import snapshot_of
    from lab.checks import run_checks

    spec = folder.spec
    with open_home() as home, progress_told() as progress:
        # The other one first: a wrong id is told before a table is read.
        earlier = snapshot_of(home, tenant, spec, None, against, progress) if against else None
        rows = snapshot_of(home, tenant, spec, data, snapshot, progress, events=events)
        found = run_checks(spec, rows, earlier=earlier, rules=folder.rules, progress=progress)
    return {"snapshot": rows.id, "checks": [one.to_json() for one in found]}


def _readable(spec: Path, told: dict[str, Any]) -> str:
    lines = [
        f"FAILED {failure['name']}: expected {failure['expected']}, got {failure['actual']}"
        for failure in told["failures"]
    ]
    if told["decision"]:
        lines.append(f"{told['decision']}: framing, schema, costs and ladder hold")
    lines += [f"corpus {name}: {count} documents" for name, count in told["corpora"].items()]
    held = told["cases"] - len(told["failures"])
    lines.append(f"{held} of {told['cases']} cases hold ({spec}, rules {told['version']})")
    if told["snapshot"]:
        lines += ["", *_readable_checks(told)]
    return "\n".join(lines)


def _readable_checks(told: dict[str, Any]) -> list[str]:
    ranks = {"high": 0, "medium": 1, "low": 2}
    checks = sorted(
        told["checks"], key=lambda one: (ORDER.index(one["outcome"]), ranks[one["severity"]])
    )
    counts = Counter(one["outcome"] for one in checks)
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ORDER if counts[outcome])
    lines = [f"snapshot {told['snapshot'][:12]}: {len(checks)} checks ({summary})"]
    for one in checks:
        if one["outcome"] in ("issue", "tip"):
            lines += [
                "",
                f"{one['outcome']} {one['code']} ({one['severity']})",
                f"  {one['evidence']}",
                f"  {one['way_out']}",
                f"  {one['page']}",
            ]
    others = [one for one in checks if one["outcome"] not in ("issue", "tip")]
    lines.append("")
    return lines + [f"{one['outcome']:<18}{one['code']:<24}{one['evidence']}" for one in others]
