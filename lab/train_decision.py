"""Fits every model of one decision and the policy over them, in the order of time.

The rows are cut once: the first 60 % fit the models, the next 20 % what is learned about them (the
support of made answers, the expected-cost policy), the last 20 % are scored once, by the ladder as
it will be deployed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.clock import Clock
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from core.features import compute
from core.spec import DecisionSpec, parse_spec
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import evaluate_observed
from lab.fit_intent import fit_intent
from lab.fit_policy import fit_policy
from lab.fit_risk import fit_risk
from lab.fit_support import fit_support, with_support
from lab.retrieval import fit_retriever
from lab.tables import LabelledTexts
from lab.traces import observe, trace_of
from llm.door import LanguageDoor
from llm.prompting import Prompts
from rankers.index import HybridIndex
from rankers.retriever import Retriever
from router.language import LanguageDetector
from router.policy import CostPolicy
from router.risk import RiskModel
from router.rungs import Models
from router.runtime import COVERED, LadderParts, build_ladder
from router.support import SupportModel
from rules.ruleset import RulesEngine

FIT_SHARE = 0.6
POLICY_SHARE = 0.2
LEAST_ROWS = 100  # below it a fifth of the rows says nothing about any rung
Progress = Callable[[str, int, int], None]  # step, done, total


@dataclass(frozen=True, kw_only=True)
class Written:
    """What the owner of a decision wrote."""

    decision_yaml: str
    rules_yaml: str
    prompts: Prompts


@dataclass(frozen=True, kw_only=True)
class Trained:
    parts: LadderParts
    report: Mapping[str, Any]


def train_decision(
    written: Written,
    rows: Sequence[DecisionRow],
    indexes: Mapping[str, HybridIndex],
    embedder: TextEmbedder,
    *,
    door: LanguageDoor,
    clock: Clock,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> Trained:
    """`rows` are in the order of time. Raises InvalidDocument where they cannot be trained on."""
    spec = parse_spec(written.decision_yaml)
    if len(rows) < LEAST_ROWS:
        raise InvalidDocument(
            "RUNG-TABLE-SHORT",
            f"{len(rows)} rows are too few to fit and judge a ladder on",
            way_out=f"Bring {LEAST_ROWS} rows or more.",
        )
    fitting, judging, testing = _cut(rows)
    _refuse_unseen_intents(spec, fitting)
    progress("fitting intents", 0, 1)
    intents = fit_intent(_texts(spec, fitting), embedder, out_of_scope=spec.out_of_scope, seed=seed)
    risk, risk_report = _fit_risk(spec, fitting, seed)
    retrievers: dict[str, Retriever] = {}
    retrieval_report = {}
    for corpus, index in sorted(indexes.items()):
        progress(f"fitting the ranker of {corpus}", 0, 1)
        retrievers[corpus], retrieval_report[corpus] = fit_retriever(
            spec, corpus, index, fitting, embedder, seed=seed, progress=progress
        )
    parts = LadderParts(
        decision_yaml=written.decision_yaml,
        rules_yaml=written.rules_yaml,
        spec=spec,
        rules=RulesEngine.from_text(written.rules_yaml),
        intents=intents,
        risk=risk,
        retrievers=retrievers,
        prompts=written.prompts,
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )
    models = Models()
    ladder = build_ladder(parts, release="unreleased", door=door, models=models, clock=clock)
    seen = observe(ladder, judging, lambda done, n: progress("judging every rung", done, n))
    support = fit_support(seen)
    seen = [with_support(support, one) for one in seen]
    policy = fit_policy(spec.costs, [trace_of(spec.costs, one) for one in seen])
    parts = replace(parts, support=support, policy=policy)
    ladder = build_ladder(parts, release="unreleased", door=door, models=models, clock=clock)
    tested = observe(ladder, testing, lambda done, n: progress("scoring the test rows", done, n))
    report = {
        "rows": {"fit": len(fitting), "policy": len(judging), "test": len(testing)},
        "risk": risk_report,
        "retrieval": retrieval_report,
        "ladder": evaluate_observed(spec, policy, tested, seed=seed),
    }
    return Trained(parts=parts, report=report)


def _cut(
    rows: Sequence[DecisionRow],
) -> tuple[Sequence[DecisionRow], Sequence[DecisionRow], Sequence[DecisionRow]]:
    first = round(len(rows) * FIT_SHARE)
    second = round(len(rows) * (FIT_SHARE + POLICY_SHARE))
    return rows[:first], rows[first:second], rows[second:]


def _refuse_unseen_intents(spec: DecisionSpec, rows: Sequence[DecisionRow]) -> None:
    """What no row shows would be answered as something else, and surely so."""
    unseen = sorted(set(spec.intents) - {row.intent for row in rows})
    if unseen:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"the first {FIT_SHARE:.0%} of the rows, which models are fitted on, have no row of "
            f"intent '{unseen[0]}'",
            way_out="Add rows of it, or take it out of decision.yaml.",
        )


def _texts(spec: DecisionSpec, rows: Sequence[DecisionRow]) -> LabelledTexts:
    """Without the languages that the classical rung abstains on."""
    detector = LanguageDetector()
    kept = [
        (spec.request.text_of(row.facts), row.intent)
        for row in rows
        if detector.detect(spec.request.text_of(row.facts)).code in COVERED
    ]
    return LabelledTexts(texts=[text for text, _ in kept], labels=[label for _, label in kept])


def _fit_risk(
    spec: DecisionSpec, rows: Sequence[DecisionRow], seed: int
) -> tuple[RiskModel | None, Any]:
    if spec.risk is None:
        return None, None
    categories = {name: field.values for name, field in spec.request.fields.items()}
    matrix = compute(spec.risk.features, [row.facts for row in rows], categories)
    labels = None
    if spec.risk.label is not None:
        labels = np.array([row.risky for row in rows])
    model, report = fit_risk(
        matrix, labels, tuple(spec.risk.features), share=spec.risk.share, seed=seed
    )
    return model, report
