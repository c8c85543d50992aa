"""decision.yaml as a whole: the parts, and that they fit one another."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.contracts import ANSWER, PERSON, WRONG_ANSWER
from core.features import FeatureSpec
from core.money import to_micros
from core.spec.costs import Budgets, Costs
from core.spec.entities import EntityFeature, EntityType
from core.spec.framing import Framing
from core.spec.gate import Gate, Slice
from core.spec.request import RequestSchema, RowNumber
from core.spec.scores import Scores
from core.spec.shared_features import read_decision
from core.spec.strict import Name, Sentence, Strict
from core.yaml_source import parse_document

RungName = Literal["rules", "classical", "retrieval", "llm", "person"]
FOLDER = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$"
ORDER: tuple[RungName, ...] = ("rules", "classical", "retrieval", "llm", "person")

BY_FIELDS: tuple[RungName, ...] = ("rules", "classical", "person")  # where there is no text


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
    """`outcome` is the truth of the rows whose `label` is `positive`, `otherwise` of all others.

    Without a label, outliers are found, and `share` is how many rows are expected to be of that
    outcome. With intents, what is not risky is what the text asks for, and `otherwise` is absent.
    """

    outcome: Name
    otherwise: Name | None = None
    label: Name | None = None
    column: str = Field(default="", max_length=200)  # of the label in tables, where it differs
    positive: str | int | bool = 1
    # A person decides where the conformal set at this error rate holds none or both outcomes.
    abstain_alpha: float | None = Field(default=None, gt=0, lt=0.5)
    share: float = Field(default=0.01, gt=0, lt=0.5)
    features: dict[Name, FeatureSpec] = Field(min_length=1)


class TrainingColumns(Strict):
    """Which columns of the training rows hold what turned out to be true, and the KPI's values."""

    intent: Name = "intent"
    truth: Name = "truth"
    documents: Name = "documents"
    kpi: Name | None = None


class DecisionSpec(Strict):
    name: Name
    version: str = Field(min_length=1, max_length=40)
    framing: Framing
    request: RequestSchema
    entities: dict[Name, EntityType] = Field(default_factory=dict)
    outcomes: dict[Name, Sentence] = Field(min_length=1)
    costs: Costs
    budgets: Budgets
    slices: tuple[Name | Slice, ...] = ()
    gate: Gate = Gate()
    ladder: tuple[RungName, ...] = ()  # where absent: every rung that its requests can ask
    rules: str = "rules.yaml"
    risk: Risk | None = None
    intents: dict[Name, Intent] = Field(default_factory=dict)
    out_of_scope: Name | None = None
    handlers: dict[Name, Handler] = Field(default_factory=dict)
    training: TrainingColumns = TrainingColumns()
    scores: Scores | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> "DecisionSpec":
        if not self.ladder:
            object.__setattr__(self, "ladder", ORDER if self.by_text else BY_FIELDS)
        _ladder_is_ordered("ladder", self.ladder)
        if self.request.text is None:
            self._decides_by_fields()
        elif len(self.intents) < 2:
            raise ValueError("a request with a text needs two intents or more")
        elif self.risk and (self.risk.otherwise or self.risk.abstain_alpha):
            raise ValueError(
                "risk.otherwise and abstain_alpha are for requests without a text; remove them"
            )
        if "classical" not in self.ladder:
            raise ValueError("ladder needs classical: it finds the corpus for what comes after it")
        for name, handler in self.handlers.items():
            _ladder_is_ordered(f"the ladder of handler '{name}'", handler.ladder)
            if handler.corpus is None and {"retrieval", "llm"} & set(handler.ladder):
                raise ValueError(f"handler '{name}' answers from a corpus; name its folder")
        self._delay_is_known()
        self._names_are_declared()
        self._labels_are_not_asked()
        self._entities_fit()
        self._features_are_available()
        self._scores_are_found()
        self._prices_fit_the_budget()
        return self

    def _delay_is_known(self) -> None:
        """Without times, days cannot be left out between the parts of a split; rows can."""
        time = self.request.time
        unsaid = isinstance(time, RowNumber) and time.label_delay_rows is None
        if unsaid and self.framing.label_delay_days > 0:
            raise ValueError(
                "labels are known after framing.label_delay_days, and rows have numbers only: say "
                "after how many rows in request.time.label_delay_rows"
            )

    def _decides_by_fields(self) -> None:
        """Without a text, the model over the structured fields tells one outcome from another."""
        if self.intents or self.handlers or self.out_of_scope:
            raise ValueError("intents, handlers and out_of_scope read a text; name request.text")
        if self.risk is None or self.risk.label is None or self.risk.otherwise is None:
            raise ValueError("without request.text, risk needs a label and an otherwise")
        if self.risk.otherwise == self.risk.outcome:
            raise ValueError("risk.outcome and risk.otherwise must differ")
        if {"retrieval", "llm"} & set(self.ladder):
            raise ValueError(
                "retrieval and llm read a text; write ladder: [rules, classical, person]"
            )

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
        for outcome in (self.risk.outcome, self.risk.otherwise) if self.risk else ():
            if outcome is not None and outcome not in self.outcomes:
                raise ValueError(f"risk names '{outcome}', which is no outcome")
        for entry in self.costs.matrix:
            for name in (entry.outcome, entry.truth):
                if name not in truths:
                    raise ValueError(f"costs.matrix names '{name}', which is no outcome")
        for name in self.costs.rungs:
            if name not in ORDER:
                raise ValueError(f"costs.rungs: '{name}' is no rung; write one of {ORDER}")
        for part in self.slice_specs:
            if part.of not in self.request.fields and not (part.of == "language" and self.by_text):
                raise ValueError(f"slices: '{part.of}' is no field of the request, nor 'language'")
        names = [part.name for part in self.slice_specs]
        if len(set(names)) < len(names):
            raise ValueError("two slices have the same name; rename one")

    def _labels_are_not_asked(self) -> None:
        """What turned out to be true cannot be a field of the request."""
        columns = []
        if self.by_text:
            columns = [self.training.intent, self.training.truth, self.training.documents]
        if self.risk and self.risk.label:
            columns.append(self.risk.label)
        for name in columns:
            if name in self.request.fields and self.request.fields[name].available:
                raise ValueError(
                    f"'{name}' is a label and a field of the request at once: the model would be "
                    "told what it is to predict; name another column"
                )

    def _entities_fit(self) -> None:
        if self.entities and self.request.time_field is None:
            raise ValueError("entities are looked up as of a request's time; name request.time")
        taken = set(self.request.fields)
        for name, kind in self.entities.items():
            field = self.request.fields.get(kind.key)
            if field is None or field.type != "text" or not field.available:
                raise ValueError(
                    f"entity '{name}' has the key '{kind.key}', which is no available field of "
                    "type text"
                )
            if kind.key == self.request.text:
                raise ValueError(f"entity '{name}': its key is the text; name the id's field")
            twice = sorted(taken & kind.features.keys())
            if twice:
                raise ValueError(f"'{twice[0]}' names two facts of a request; rename the feature")
            taken |= kind.features.keys()

    def _features_are_available(self) -> None:
        for name, feature in (self.risk.features if self.risk else {}).items():
            for source in feature.sources:
                if source in self.entity_features:
                    feature.refuse_type(name, source, "number")
                    continue
                field = self.request.fields.get(source)
                if field is None:
                    raise ValueError(f"feature '{name}' reads '{source}', which is no field")
                if source in self.entity_keys:
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

    def _scores_are_found(self) -> None:
        if self.scores is None:
            return
        if self.by_text:
            raise ValueError("scores are of requests without a text; remove scores")
        field = self.request.fields.get(self.scores.key)
        if field is None or not field.available or field.missing != "refuse":
            raise ValueError(
                f"scores.key names '{self.scores.key}', which must be an available field that is "
                "never missing"
            )
        if field.type not in ("text", "category", "integer"):
            raise ValueError(
                f"scores.key names '{self.scores.key}' of type {field.type}; a key is a text, a "
                "category or an integer"
            )

    @property
    def by_text(self) -> bool:
        """Whether a text is decided on; else the structured fields alone are."""
        return self.request.text is not None

    @property
    def entity_features(self) -> dict[str, EntityFeature]:
        """Facts that no caller sends: they are made of the events of the request's entities."""
        return {
            name: feature
            for kind in self.entities.values()
            for name, feature in kind.features.items()
        }

    @property
    def entity_keys(self) -> frozenset[str]:
        """The fields with ids, which are pseudonyms when a request is decided."""
        keys = {kind.key for kind in self.entities.values()}
        return frozenset(keys | ({self.request.entity} if self.request.entity else set()))

    @property
    def slice_specs(self) -> tuple[Slice, ...]:
        return tuple(
            part if isinstance(part, Slice) else Slice(name=part, of=part) for part in self.slices
        )

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
    return parse_spec(read_decision(folder if folder.is_dir() else folder.parent))


def parse_spec(text: str) -> DecisionSpec:
    """Raises InvalidDocument with the line and what may stand there."""
    return parse_document(text, DecisionSpec, page="docs/reference/decision.md", strict=True)
