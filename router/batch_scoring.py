"""Decides on many requests at once as the ladder decides on each: rules, model, policy, person.

Features, model and rules are those of the ladder itself, over columns. What the policy makes of a
probability is computed for all rows, and where two ways cost nearly the same, by the policy itself:
no rounding of a sum can then choose another outcome than it would online.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from core.artifacts import ArtifactStore
from core.calibration import FloatArray
from core.contracts import PERSON, Verdict
from core.errors import InvalidRequest
from core.features import Matrix, compute_columns, digests
from core.spec import DecisionSpec, parse_spec
from core.store import Store
from router.batch_facts import FactColumns, facts_read, feature_columns
from router.batch_rules import spoken
from router.parts import RELEASE, LadderParts
from router.policy import CostPolicy, cheapest_outcome
from router.risk import RiskModel

RUNGS = ("rules", "classical", PERSON)
NEAR = 1e-9  # of the money at stake; a sum of three doubles is off by 1e-15 of it
Codes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Of each row (n,): places in `outcomes` and in RUNGS, and P(risk.outcome) as predicted.

    `asked` says whether the ladder asked the model; where a rule or a stale feed decided before,
    nobody would know the probability online.
    """

    outcomes: tuple[str, ...]  # several of one rule file joined by commas
    outcome: Codes
    rung: Codes
    predicted: FloatArray
    asked: Rows
    features: Matrix
    names: tuple[str, ...]  # of the features

    def digests(self) -> list[str]:
        """As the trace of an online decision has it; empty where the model was not asked."""
        told = digests([*self.names, ""], self.features)  # the text, which there is none of
        return [digest if asked else "" for digest, asked in zip(told, self.asked, strict=True)]


class BatchScorer:
    """One release of a decision that goes by fields alone."""

    def __init__(self, parts: LadderParts, release: str) -> None:
        """Raises InvalidRequest for a decision on a text: what it costs to read is not batched."""
        refuse_text(parts.spec)
        assert parts.risk is not None  # the spec holds it so where no text is
        self.spec = parts.spec
        self.release = release
        self._rules = parts.rules if "rules" in parts.spec.ladder else None
        self._model = parts.risk
        self._policy = ByProbability(spec=parts.spec, policy=parts.policy, model=parts.risk)
        self._categories = {name: field.values for name, field in parts.spec.request.fields.items()}

    @property
    def reads(self) -> frozenset[str]:
        """The facts that must come; the others need only be valid."""
        rules = self._rules.ruleset.rules if self._rules else ()
        return frozenset(facts_read(self.spec, (rule.when for rule in rules)))

    def score(self, columns: FactColumns, stale: Rows) -> Scored:
        """`stale` are the rows whose feed of events has stopped, and that a person must decide."""
        features = compute_columns(
            self.spec.risk.features if self.spec.risk else {},
            feature_columns(self.spec, columns),
            columns.rows,
            self._categories,
        )
        predicted = self._model.predict(features) if columns.rows else np.empty(0)
        names = [*sorted(self.spec.outcomes), PERSON]
        person = len(names) - 1
        asks = self._policy.asks
        outcome = self._policy.outcomes(predicted) if asks else np.full(columns.rows, person)
        rung = np.where(outcome == person, RUNGS.index(PERSON), RUNGS.index("classical"))
        asked = np.full(columns.rows, asks)
        self._let_rules_speak(columns, names, outcome, rung, asked)
        for array, value in ((outcome, person), (rung, RUNGS.index(PERSON)), (asked, False)):
            array[stale] = value
        return Scored(
            outcomes=tuple(names),
            outcome=outcome.astype(np.int32),
            rung=rung.astype(np.int32),
            predicted=predicted,
            asked=asked,
            features=features,
            names=self._model.names,
        )

    def _let_rules_speak(
        self,
        columns: FactColumns,
        names: list[str],
        outcome: npt.NDArray[np.int64],
        rung: npt.NDArray[np.int64],
        asked: Rows,
    ) -> None:
        """Writes over what the model says where a rule speaks; `names` gains what rules say."""
        if self._rules is None:
            return
        told = spoken(self._rules, columns)

        def say(where: Rows | npt.NDArray[np.intp], said: str, speaker: str) -> None:
            if said not in names:
                names.append(said)
            outcome[where] = names.index(said)
            rung[where] = RUNGS.index(speaker)
            asked[where] = False

        for place, rule in enumerate(told.rules):
            say((told.rule == place) & ~told.escalates, rule.outcome, "rules")
        say(told.escalates, PERSON, PERSON)
        unsure = np.flatnonzero(told.unsure)
        for row, facts in zip(unsure, columns.taken(unsure), strict=True):
            verdict = self._rules.decide(facts)
            if verdict.escalate:
                say(np.array([row]), PERSON, PERSON)
            elif not verdict.abstained:
                say(np.array([row]), ",".join(verdict.outcomes), "rules")


class ByProbability:
    """What the ladder makes of P(risk.outcome) where no rule has spoken."""

    def __init__(self, *, spec: DecisionSpec, policy: CostPolicy, model: RiskModel) -> None:
        self._spec = spec
        self._policy = policy
        self._model = model
        self._names = sorted(spec.outcomes)
        assert spec.risk is not None and spec.risk.otherwise is not None
        self._truths = (spec.risk.outcome, spec.risk.otherwise)
        self.asks = self._asks_the_model()

    def outcomes(self, probabilities: FloatArray) -> npt.NDArray[np.int64]:
        """The place of each outcome by name (n,); one after the last is a person."""
        costs, (risky, other) = self._spec.costs, self._truths
        expected = np.stack(
            [
                probabilities * costs.of(name, risky) + (1 - probabilities) * costs.of(name, other)
                for name in self._names
            ]
        )
        best = expected.argmin(axis=0)
        least, person = expected.min(axis=0), costs.of_person()
        chosen = np.where(least <= person, best, len(self._names))
        chosen = np.where(self._open(probabilities), len(self._names), chosen)
        near = self._near(expected, least, person)
        again, back = np.unique(probabilities[near], return_inverse=True)
        exact = np.array([self._place(float(p)) for p in again], dtype=np.int64)
        chosen[near] = exact[back] if len(again) else chosen[near]
        return cast(npt.NDArray[np.int64], chosen)

    def _near(self, expected: FloatArray, least: FloatArray, person: float) -> Rows:
        """Where rounding could choose: two ways cost the same but for the last digits."""
        room = NEAR * (1 + np.abs(expected).max(axis=0) + person)
        ways = np.vstack([expected, np.full((1, expected.shape[1]), person)])
        return cast(Rows, (np.abs(ways - least) <= room).sum(axis=0) > 1)

    def _open(self, probabilities: FloatArray) -> Rows:
        """As `RiskModel.is_open`, for many."""
        least = self._model.least
        if least is None:
            return np.zeros(len(probabilities), dtype=bool)
        return cast(Rows, (probabilities >= least) == (1 - probabilities >= least))

    def _place(self, probability: float) -> int:
        """By the policy, from the verdict that the classical rung gives."""
        person = len(self._names)
        if self._model.is_open(probability):
            return person
        risky, other = self._truths
        belief = dict(sorted({risky: probability, other: 1 - probability}.items()))
        best = cheapest_outcome(self._spec.costs, self._names, belief)
        verdict = Verdict(outcomes=(best,), reasons=(), version="", rung="classical", belief=belief)
        choice = self._policy.choose([*self._before, verdict], PERSON)
        return self._names.index(best) if choice.action == "answer" else person

    @property
    def _before(self) -> Sequence[Verdict]:
        silent = Verdict(outcomes=(), reasons=(), version="", rung="rules")
        return (silent,) if "rules" in self._spec.ladder else ()

    def _asks_the_model(self) -> bool:
        """Whether going on after silent rules is worth it; a deadline may be too short for it."""
        if not self._before:
            return True
        declared = self._spec.costs.rungs.get("classical")
        takes = declared.milliseconds if declared else 0.0
        in_time = self._spec.budgets.deadline_ms > takes
        return self._policy.choose(self._before, "classical", in_time=in_time).action == "next"


def live_scorer(store: Store, artifacts: ArtifactStore, tenant_id: str, name: str) -> BatchScorer:
    """Of the release that is live. Raises NotFound where there is none."""
    release = store.release_in_force(tenant_id, name)
    files = artifacts.get(tenant_id, release, RELEASE).files
    refuse_text(parse_spec(files["decision.yaml"].decode()))
    return BatchScorer(LadderParts.from_files(files, {}, None), release)


def refuse_text(spec: DecisionSpec) -> None:
    """Raises InvalidRequest."""
    if spec.by_text:
        raise InvalidRequest(
            "RUNG-SCORE-TEXT",
            f"{spec.name} decides on a text, and its risk alone is no decision",
            way_out="Batches are for decisions by fields; send texts to POST /v1/decisions/NAME.",
        )
