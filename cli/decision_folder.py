"""A decision as its owner keeps it: decision.yaml, rules, corpora and prompts in one folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.text_file import read_text

if TYPE_CHECKING:
    from core.spec import DecisionSpec
    from llm import Prompts
    from rankers.documents import Document
    from rules.ruleset import RulesEngine


@dataclass(frozen=True, kw_only=True)
class DecisionFolder:
    folder: Path
    decision_yaml: str
    rules_yaml: str
    spec: "DecisionSpec"
    rules: "RulesEngine"
    prompts: "Prompts"

    @classmethod
    def read(cls, path: Path) -> "DecisionFolder":
        """Raises InvalidDocument where a file is refused or two of them do not fit."""
        from core.spec import parse_spec, read_decision
        from llm import Prompts
        from rules.ruleset import RulesEngine

        folder = path if path.is_dir() else path.parent
        decision_yaml = read_decision(folder)
        spec = parse_spec(decision_yaml)
        rules_yaml = read_text(folder / spec.rules)
        rules = RulesEngine.from_text(rules_yaml)
        _refuse_strange_rules(spec, rules)
        return cls(
            folder=folder,
            decision_yaml=decision_yaml,
            rules_yaml=rules_yaml,
            spec=spec,
            rules=rules,
            prompts=Prompts.load(folder / "prompts"),
        )

    def documents(self, corpus: str) -> "tuple[Document, ...]":
        from rankers.documents import read_corpus

        return read_corpus(self.folder / corpus)


def is_decision(path: Path) -> bool:
    try:
        return path.is_dir() or path.name == "decision.yaml"
    except OSError:  # longer than a path can be
        return False


def _refuse_strange_rules(spec: "DecisionSpec", rules: "RulesEngine") -> None:
    from core.errors import InvalidDocument
    from rules.conditions import fields_of

    outcomes = {rule.outcome for rule in rules.ruleset.rules}
    strange = sorted(outcomes - set(spec.outcomes))
    if strange:
        raise InvalidDocument(
            "RUNG-RULES-OUTCOME",
            f"a rule of {spec.rules} has the outcome '{strange[0]}', which decision.yaml lacks",
            way_out=f"Use one of: {', '.join(spec.outcomes)}.",
        )
    available = {name for name, field in spec.request.fields.items() if field.available}
    available |= spec.entity_features.keys()
    available -= spec.entity_keys  # pseudonyms when a request is decided
    named = {name for rule in rules.ruleset.rules for name in fields_of(rule.when)}
    strange = sorted(named - available)
    if strange:
        raise InvalidDocument(
            "RUNG-RULES-FIELD",
            f"a rule of {spec.rules} reads '{strange[0]}', which no request has",
            way_out="Add it to request.fields, available at prediction time.",
        )
