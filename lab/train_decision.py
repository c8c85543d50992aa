"""Fits every model of one decision and the policy over them, in the order of time.

The rows are cut once: the first 60 % fit the models, the next 20 % what is learned about them (the
support of made answers, the expected-cost policy), the last 20 % are scored once, by the ladder as
it will be deployed. Rows whose label was not known when the next part began are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from core.clock import Clock
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from core.features import compute
from core.spec import DecisionSpec, parse_spec
from lab.clustered import units_of
from lab.decision_evaluation import evaluation_of
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import evaluate_observed
from lab.evaluation import Evaluation
from lab.fit_intent import fit_intent
from lab.fit_policy import fit_policy
from lab.fit_risk import fit_risk
from lab.fit_support import fit_support, with_support
from lab.retrieval import fit_retriever
from lab.table_data import categorical_of
from lab.tables import LabelledTexts
from lab.temporal_split import Moments, moments_of, split_rows
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

Only = Literal["router", "risk", "ranker", "scorer"]
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
    evaluation: Evaluation


def train_decision(
    written: Written,
    rows: Sequence[DecisionRow],
    indexes: Mapping[str, HybridIndex],
    embedder: TextEmbedder,
    *,
    door: LanguageDoor,
    clock: Clock,
    snapshot: str | None = None,
    kind: str = "temporal",
    only: Only | None = None,
    before: LadderParts | None = None,
    parity: Mapping[str, int] | None = None,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> Trained:
    """`rows` are in the order of time. Raises InvalidDocument where they cannot be trained on.

    With `only`, that part is fitted and the others are taken from `before`; the policy over them
    is always fitted anew. A `kind` other than temporal must be asked for.
    """
    spec = parse_spec(written.decision_yaml)
    if len(rows) < LEAST_ROWS:
        raise InvalidDocument(
            "RUNG-TABLE-SHORT",
            f"{len(rows)} rows are too few to fit and judge a ladder on",
            way_out=f"Bring {LEAST_ROWS} rows or more.",
        )
    split = split_rows(spec, len(rows), times_of(spec, rows), kind=kind, seed=seed)
    fitting, judging, testing = (
        [rows[place] for place in part] for part in (split.fit, split.validation, split.test)
    )
    intents = before.intents if before else None
    if only in (None, "router"):
        _refuse_unseen_intents(spec, fitting)
        progress("fitting intents", 0, 1)
        texts = _texts(spec, fitting)
        intents = fit_intent(texts, embedder, out_of_scope=spec.out_of_scope, seed=seed)
    risk, risk_report = (before.risk if before else None), None
    if only in (None, "risk"):
        risk, risk_report = _fit_risk(spec, fitting, kind, seed)
    retrievers: dict[str, Retriever] = dict(before.retrievers) if before else {}
    retrieval_report = {}
    for corpus, index in sorted(indexes.items()) if only in (None, "ranker", "scorer") else ():
        progress(f"fitting the ranker of {corpus}", 0, 1)
        fitted, retrieval_report[corpus] = fit_retriever(
            spec, corpus, index, fitting, embedder, seed=seed, progress=progress
        )
        # A scorer learns from lists that the ranker's folds made; the ranker itself may stay.
        if only == "scorer" and corpus in retrievers:
            fitted = Retriever(
                index=index,
                embedder=embedder,
                ranker=retrievers[corpus].ranker,
                quality=fitted.quality,
            )
        retrievers[corpus] = fitted
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
        "rows": {
            "fit": len(fitting),
            "policy": len(judging),
            "test": len(testing),
            "embargoed": split.embargoed,
        },
        "risk": risk_report,
        "retrieval": retrieval_report,
        "ladder": evaluate_observed(spec, policy, tested, seed=seed),
    }
    evaluation = evaluation_of(
        spec,
        policy,
        tested,
        split.told(),
        fitting,
        snapshot=snapshot,
        parity=parity,
        seed=seed,
    )
    return Trained(parts=parts, report=report, evaluation=evaluation)


def times_of(spec: DecisionSpec, rows: Sequence[DecisionRow]) -> Moments | None:
    name = spec.request.time_field
    return moments_of([str(row.facts[name]) for row in rows]) if name else None


def _refuse_unseen_intents(spec: DecisionSpec, rows: Sequence[DecisionRow]) -> None:
    """What no row shows would be answered as something else, and surely so."""
    unseen = sorted(set(spec.intents) - {row.intent for row in rows})
    if unseen:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"the {len(rows)} rows which models are fitted on have no row of intent '{unseen[0]}'",
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
    spec: DecisionSpec, rows: Sequence[DecisionRow], kind: str, seed: int
) -> tuple[RiskModel | None, Any]:
    """The fit rows are cut once more, by time too; the others judge the whole ladder later."""
    if spec.risk is None:
        return None, None
    categories = {name: field.values for name, field in spec.request.fields.items()}
    matrix = compute(spec.risk.features, [row.facts for row in rows], categories)
    labels, entity = None, spec.request.entity
    inner = split_rows(spec, len(rows), times_of(spec, rows), kind=kind, seed=seed)
    if spec.risk.label is not None:
        labels = np.array([row.risky for row in rows])
    model, report = fit_risk(
        matrix,
        labels,
        tuple(spec.risk.features),
        share=spec.risk.share,
        parts=(inner.fit, inner.validation, inner.test),
        clusters=units_of(row.facts[entity] for row in rows) if entity else None,
        categorical=categorical_of(spec),
        seed=seed,
    )
    return model, report
