"""`rung check`: what its owner wrote, held against itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decision_folder import DecisionFolder, is_decision
from cli.told import AsJson, errors_told, tell
from core.text_file import read_text

if TYPE_CHECKING:
    from rules.ruleset import RulesEngine

Spec = Annotated[Path, typer.Argument(help="A decision's folder, or a rule file.")]


def check(spec: Spec, as_json: AsJson = False) -> None:
    """Validate a decision's folder or a rule file, and run the test cases inside the rules."""
    with errors_told(as_json):
        if is_decision(spec):
            told = _of_decision(DecisionFolder.read(spec))
        else:
            from rules.ruleset import RulesEngine

            told = {
                "decision": None,
                "corpora": {},
                **_of_rules(RulesEngine.from_text(read_text(spec))),
            }
    tell(told, as_json, lambda: _readable(spec, told))
    raise typer.Exit(1 if told["failures"] else 0)


def _of_decision(folder: DecisionFolder) -> dict[str, Any]:
    corpora = {corpus: len(folder.documents(corpus)) for corpus in folder.spec.corpora}
    name = f"{folder.spec.name} {folder.spec.version}"
    return {"decision": name, "corpora": corpora, **_of_rules(folder.rules)}


def _of_rules(engine: "RulesEngine") -> dict[str, Any]:
    failures = [failure.model_dump(mode="json") for failure in engine.run_cases()]
    return {"version": engine.version, "cases": len(engine.ruleset.tests), "failures": failures}


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
    return "\n".join(lines)
