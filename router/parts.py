"""All that one release is: the parts that lab fitted, and the ladder that they make."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from core import feature_schema
from core.artifacts import under
from core.clock import Clock
from core.embedding import TextEmbedder
from core.errors import CorruptArtifact
from core.spec import DecisionSpec, parse_spec
from llm.door import LanguageDoor
from llm.prompting import TASKS as PROMPT_TASKS
from llm.prompting import Prompts
from rankers.index import HybridIndex
from rankers.retriever import Retriever
from router.intent import IntentModel
from router.ladder import Ladder, Rung
from router.language import UNDETERMINED, LanguageDetector
from router.policy import CostPolicy
from router.reading import Reader
from router.risk import RiskModel
from router.rungs import ClassicalRung, LanguageRung, Models, RetrievalRung, RulesRung
from router.support import SupportModel
from rules.ruleset import RulesEngine

RELEASE = "release"  # the kind of its artifact
COVERED = frozenset({"en", UNDETERMINED})  # what the default embedder was trained on


@dataclass(frozen=True, kw_only=True)
class LadderParts:
    """All that lab fits for one decision, and the two files that its owner wrote."""

    decision_yaml: str
    rules_yaml: str
    spec: DecisionSpec
    rules: RulesEngine
    intents: IntentModel | None  # None where no text is decided on
    risk: RiskModel | None
    prompts: Prompts
    retrievers: Mapping[str, Retriever]  # by corpus
    support: SupportModel
    policy: CostPolicy

    def to_files(self) -> dict[str, bytes]:
        """Without the indexes, which advance under a release."""
        files = {
            "decision.yaml": self.decision_yaml.encode(),
            "rules.yaml": self.rules_yaml.encode(),
            "policy.json": json.dumps(self.policy.to_json(), sort_keys=True).encode(),
            feature_schema.FILE: feature_schema.to_bytes(feature_schema.schema_of(self.spec)),
        }
        files |= {
            f"prompts/{task}.md": text.encode() for task, text in asdict(self.prompts).items()
        }
        parts = {"support": self.support.to_files()}
        if self.intents:
            parts["intent"] = self.intents.to_files()
        if self.risk:
            parts["risk"] = self.risk.to_files()
        for corpus, retriever in self.retrievers.items():
            parts[f"retriever/{corpus}"] = retriever.to_files()
        for folder, content in parts.items():
            files |= {f"{folder}/{name}": data for name, data in content.items()}
        return files

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, bytes],
        indexes: Mapping[str, HybridIndex],
        embedder: TextEmbedder | None,
    ) -> "LadderParts":
        """Digests are verified before. A decision without a text needs no embedder.

        Raises CorruptArtifact where its features mean another thing than this code computes or it
        is of another form, InvalidDocument where parts do not fit, InvalidSettings where it was
        fitted on vectors of another embedder.
        """
        try:
            return cls._read(files, indexes, embedder)
        except (KeyError, ValueError, TypeError) as error:
            raise CorruptArtifact(
                "RUNG-RELEASE-FORMAT",
                "the release is of a form that this Rung does not read",
                way_out="Train the decision again, or run the Rung that trained it.",
            ) from error

    @classmethod
    def _read(
        cls,
        files: Mapping[str, bytes],
        indexes: Mapping[str, HybridIndex],
        embedder: TextEmbedder | None,
    ) -> "LadderParts":
        decision_yaml = files["decision.yaml"].decode()
        rules_yaml = files["rules.yaml"].decode()
        spec = parse_spec(decision_yaml)
        feature_schema.refuse_other(files.get(feature_schema.FILE), spec)
        return cls(
            decision_yaml=decision_yaml,
            rules_yaml=rules_yaml,
            spec=spec,
            rules=RulesEngine.from_text(rules_yaml),
            intents=IntentModel.from_files(under(files, "intent"), embedder) if embedder else None,
            risk=RiskModel.from_files(under(files, "risk")) if spec.risk else None,
            prompts=Prompts(
                **{task: files[f"prompts/{task}.md"].decode() for task in PROMPT_TASKS}
            ),
            retrievers={
                corpus: Retriever.from_files(
                    under(files, f"retriever/{corpus}"), index=indexes[corpus], embedder=embedder
                )
                for corpus in spec.corpora
                if embedder
            },
            support=SupportModel.from_files(under(files, "support")),
            policy=CostPolicy.from_json(json.loads(files["policy.json"]), spec.costs),
        )


def build_ladder(
    parts: LadderParts,
    *,
    release: str,
    door: LanguageDoor,
    models: Models,
    languages: LanguageDetector,
    clock: Clock,
) -> Ladder:
    """`models` and `languages` are one each for a process, whatever ladders it has."""
    spec = parts.spec
    version = release[:12]
    language = LanguageRung(spec=spec, door=door, support=parts.support, version=version)
    every: dict[str, Rung] = {
        "rules": RulesRung(parts.rules),
        "classical": ClassicalRung(
            spec=spec,
            intents=parts.intents,
            risk=parts.risk,
            covered=COVERED,
            version=version,
            models=models,
        ),
        "retrieval": RetrievalRung(
            spec=spec, retrievers=parts.retrievers, version=version, models=models
        ),
        language.name: language,
    }
    return Ladder(
        name=spec.name,
        release=release,
        read=Reader(spec, languages).read,
        rungs={name: rung for name, rung in every.items() if name in spec.ladder},
        order=spec.ladder,
        handlers={name: handler.ladder for name, handler in spec.handlers.items()},
        policy=parts.policy,
        deadline_ms=spec.budgets.deadline_ms,
        clock=clock,
        prospects={language.name: language.prospects},
    )
