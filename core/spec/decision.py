"""decision.yaml as a whole: the parts, and that they fit one another."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.contracts import ANSWER, PERSON, WRONG_ANSWER
from core.features import FeatureSpec
from core.money import to_micros
from core.spec.costs import Budgets, Costs
from core.spec.framing import Framing
from core.spec.request import RequestSchema
from core.spec.strict import Name, Sentence, Strict
from core.text_file import read_text
from core.yaml_source import parse_document

RungName = Literal["rules", "classical", "retrieval", "llm", "person"]
FOLDER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"
ORDER: tuple[RungName, ...] = ("rules", "classical", "retrieval", "llm", "person")


class Handler(Strict):
    """What an intent is handed to: a corpus to answer from and the rungs that may try."""

    corpus: Annotated[str, Field(pattern=FOLDER)] | None = None  # beside decision.yaml
    ladder: tuple[RungName, ...] = ("retrieval", "llm", "person")


class Intent(Strict):
    """Either an `outcome` that settles it at once, or a `handler`."""

    meaning: Sentence
    outcome: Name | None = None
    handler: Name | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Intent":
        if (self.outcome is None) == (self.handler is None):
            raise ValueError("an intent has either an outcome or a handler")
        return self


class Risk(Strict):
    """`outcome` is the truth of the rows whose `label` is 1; without a label, outliers are found.

    Where no label exists, `share` is how many rows are expected to be of that outcome.
    """

    outcome: Name
    label: Name | None = None
    share: float = Field(default=0.01, gt=0, lt=0.5)
    features: dict[Name, FeatureSpec] = Field(min_length=1)


class TrainingColumns(Strict):
    """Which columns of the training rows hold what turned out to be true."""

    intent: Name = "intent"
    truth: Name = "truth"
    documents: Name = "documents"


class DecisionSpec(Strict):
    name: Name
    version: str = Field(min_length=1, max_length=40)
    framing: Framing
    request: RequestSchema
    outcomes: dict[Name, Sentence] = Field(min_length=1)
    costs: Costs
    budgets: Budgets
    slices: tuple[Name, ...] = ()
    ladder: tuple[RungName, ...] = ORDER
    rules: str = "rules.yaml"
    risk: Risk | None = None
    intents: dict[Name, Intent] = Field(min_length=2)
    out_of_scope: Name | None = None
    handlers: dict[Name, Handler] = Field(default_factory=dict)
    training: TrainingColumns = TrainingColumns()

    @model_validator(mode="after")
    def _parts_fit(self) -> "DecisionSpec":
        _ladder_is_ordered("ladder", self.ladder)
        if "classical" not in self.ladder:
            raise ValueError("ladder needs classical: it finds the corpus for what comes after it")
        for name, handler in self.handlers.items():
            _ladder_is_ordered(f"the ladder of handler '{name}'", handler.ladder)
            if handler.corpus is None and {"retrieval", "llm"} & set(handler.ladder):
                raise ValueError(f"handler '{name}' answers from a corpus; name its folder")
        self._names_are_declared()
        self._labels_are_not_asked()
        self._features_are_available()
        self._prices_fit_the_budget()
        return self

    def _prices_fit_the_budget(self) -> None:
        """The declared prices of a ladder asked to its end are within what a decision may cost."""
        prices = [cost.price for rung, cost in self.costs.rungs.items() if rung in self.ladder]
        if sum(to_micros(price) for price in prices) > to_micros(self.budgets.price_per_decision):
            raise ValueError(
                f"the rungs' prices sum to {sum(prices):g}, above budgets.price_per_decision "
                f"{self.budgets.price_per_decision:g}; raise it, or leave a rung out"
            )

    def _names_are_declared(self) -> None:
        reserved = {ANSWER, WRONG_ANSWER, PERSON} & set(self.outcomes)
        if reserved:
            raise ValueError(f"the outcome '{min(reserved)}' is Rung's own; choose another name")
        truths = {*self.outcomes, ANSWER, WRONG_ANSWER, PERSON}
        for name, intent in self.intents.items():
            if intent.outcome and intent.outcome not in self.outcomes:
                raise ValueError(f"intent '{name}' names '{intent.outcome}', which is no outcome")
            if intent.handler and intent.handler not in self.handlers:
                raise ValueError(f"intent '{name}' names '{intent.handler}', which is no handler")
        if self.out_of_scope and self.out_of_scope in self.intents:
            raise ValueError(f"'{self.out_of_scope}' is out of scope, so it is no intent")
        if self.risk and self.risk.outcome not in self.outcomes:
            raise ValueError(f"risk names '{self.risk.outcome}', which is no outcome")
        for entry in self.costs.matrix:
            for name in (entry.outcome, entry.truth):
                if name not in truths:
                    raise ValueError(f"costs.matrix names '{name}', which is no outcome")
        for name in self.costs.rungs:
            if name not in ORDER:
                raise ValueError(f"costs.rungs: '{name}' is no rung; write one of {ORDER}")
        for name in self.slices:
            if name not in self.request.fields and name != "language":
                raise ValueError(f"slices: '{name}' is no field of the request, nor 'language'")

    def _labels_are_not_asked(self) -> None:
        """What turned out to be true cannot be a field of the request."""
        columns = [self.training.intent, self.training.truth, self.training.documents]
        if self.risk and self.risk.label:
            columns.append(self.risk.label)
        for name in columns:
            if name in self.request.fields and self.request.fields[name].available:
                raise ValueError(
                    f"'{name}' is a label and a field of the request at once: the model would be "
                    "told what it is to predict; name another column"
                )

    def _features_are_available(self) -> None:
        for name, feature in (self.risk.features if self.risk else {}).items():
            for source in feature.sources:
                field = self.request.fields.get(source)
                if field is None:
                    raise ValueError(f"feature '{name}' reads '{source}', which is no field")
                if source == self.request.entity:
                    raise ValueError(
                        f"feature '{name}' reads '{source}', the entity, which is a pseudonym when "
                        "a request is decided; remove the feature"
                    )
                if not field.available:
                    raise ValueError(
                        f"feature '{name}' reads '{source}', which is not available at prediction "
                        "time; remove the feature"
                    )
                feature.refuse_type(name, source, field.type)

    def truth_of_intent(self, intent: str) -> str:
        """The truth an intent stands for: its outcome, an answer, or a person."""
        entry = self.intents[intent]
        if entry.outcome:
            return entry.outcome
        handler = self.handlers[str(entry.handler)]
        return ANSWER if handler.corpus else PERSON

    @property
    def corpora(self) -> tuple[str, ...]:
        return tuple(sorted({h.corpus for h in self.handlers.values() if h.corpus}))


def _ladder_is_ordered(where: str, ladder: tuple[RungName, ...]) -> None:
    if [rung for rung in ORDER if rung in ladder] != list(ladder):
        raise ValueError(f"{where} must keep the order {', '.join(ORDER)}, each once")
    if not ladder or ladder[-1] != "person":
        raise ValueError(f"{where} must end with person: a request is never dropped")


def load_spec(folder: Path) -> DecisionSpec:
    """Reads `folder`/decision.yaml (or that file itself). Raises InvalidDocument with the line."""
    path = folder / "decision.yaml" if folder.is_dir() else folder
    text = read_text(path, way_out="Name a folder with a decision.yaml; `rung init` makes one.")
    return parse_spec(text)


def parse_spec(text: str) -> DecisionSpec:
    """Raises InvalidDocument with the line and what may stand there."""
    return parse_document(text, DecisionSpec, page="docs/reference/decision.md", strict=True)
