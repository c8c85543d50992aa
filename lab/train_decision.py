"""Fits every model of one decision and the policy over them, in the order of time.

The rows are cut once: the first 60 % fit the models, the next 20 % what is learned about them (the
support of made answers, the expected-cost policy), the last 20 % are scored once, by the ladder as
it will be deployed. Rows whose label was not known when the next part began are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from core.clock import Clock
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from core.features import compute
from core.spec import DecisionSpec, parse_spec
from lab.decision_evaluation import evaluation_of
from lab.decision_rows import DecisionRow
from lab.evaluate_decision import evaluate_observed
from lab.evaluation import Evaluation
from lab.fit_intent import fit_intent
from lab.fit_policy import fit_policy
from lab.fit_risk import fit_risk
from lab.fit_support import fit_support, with_support
from lab.latency import time_ladder
from lab.retrieval import fit_retriever
from lab.statistics import units_of
from lab.table_data import categorical_of
from lab.tables import LabelledTexts
from lab.temporal_split import Moments, moments_of, split_rows
from lab.traces import Observed, observe, trace_of
from llm.door import LanguageDoor
from llm.prompting import Prompts
from rankers.index import HybridIndex
from rankers.retriever import Retriever
from router.intent import IntentModel
from router.ladder import Ladder
from router.language import LanguageDetector
from router.parts import COVERED, LadderParts, build_ladder
from router.policy import CostPolicy
from router.risk import RiskModel
from router.rungs import Models
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
    _refuse_few(rows)
    split = split_rows(spec, len(rows), times_of(spec, rows), kind=kind, seed=seed)
    fitting, judging, testing = (
        [rows[place] for place in part] for part in (split.fit, split.validation, split.test)
    )
    recipe = _Recipe(spec=spec, embedder=embedder, kind=kind, seed=seed, progress=progress)
    fitted, reports = _fitted(recipe, written, fitting, indexes, only, before)
    models, languages = Models(), LanguageDetector()

    def opened(parts: LadderParts) -> Ladder:
        return build_ladder(
            parts,
            release="unreleased",
            door=door,
            models=models,
            languages=languages,
            clock=clock,
        )

    seen = observe(opened(fitted), judging, partial(progress, "judging every rung"))
    parts = settled(fitted, seen)
    ladder = opened(parts)
    tested = observe(ladder, testing, partial(progress, "scoring the test rows"))
    evaluation = evaluation_of(
        spec,
        parts.policy,
        tested,
        split.told(),
        fitting,
        snapshot=snapshot,
        parity=parity,
        time_again=partial(time_ladder, ladder, testing),
        seed=seed,
    )
    counted = {"fit": len(fitting), "policy": len(judging), "test": len(testing)}
    report = {
        "rows": {**counted, "embargoed": split.embargoed},
        **reports,
        "ladder": evaluate_observed(spec, parts.policy, tested, seed=seed),
    }
    return Trained(parts=parts, report=report, evaluation=evaluation)


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What every fit of one training shares."""

    spec: DecisionSpec
    embedder: TextEmbedder
    kind: str
    seed: int
    progress: Progress


def _fitted(
    recipe: _Recipe,
    written: Written,
    rows: Sequence[DecisionRow],
    indexes: Mapping[str, HybridIndex],
    only: Only | None,
    before: LadderParts | None,
) -> tuple[LadderParts, dict[str, Any]]:
    """The models, with nothing yet learned about them, and the reports of risk and retrieval."""
    spec = recipe.spec
    intents = before.intents if before else None
    if only in (None, "router"):
        intents = _fit_intents(recipe, rows)
    risk, risk_report = (before.risk if before else None), None
    if only in (None, "risk"):
        risk, risk_report = _fit_risk(spec, rows, recipe.kind, recipe.seed)
    retrievers = dict(before.retrievers) if before else {}
    retrieval_report = {}
    if only in (None, "ranker", "scorer"):
        for corpus, index in sorted(indexes.items()):
            kept = retrievers.get(corpus) if only == "scorer" else None
            retrievers[corpus], retrieval_report[corpus] = _fit_retrieval(
                recipe, corpus, index, rows, kept
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
    return parts, {"risk": risk_report, "retrieval": retrieval_report}


def settled(parts: LadderParts, seen: Sequence[Observed]) -> LadderParts:
    """With what rows that no model was fitted on say about them: the support, and the policy."""
    spec, support = parts.spec, fit_support(seen)
    traces = [trace_of(spec.costs, with_support(support, spec, one)) for one in seen]
    return replace(parts, support=support, policy=fit_policy(spec.costs, traces))


def times_of(spec: DecisionSpec, rows: Sequence[DecisionRow]) -> Moments | None:
    name = spec.request.time_field
    return moments_of([str(row.facts[name]) for row in rows]) if name else None


def _refuse_few(rows: Sequence[DecisionRow]) -> None:
    if len(rows) < LEAST_ROWS:
        raise InvalidDocument(
            "RUNG-TABLE-SHORT",
            f"{len(rows)} rows are too few to fit and judge a ladder on",
            way_out=f"Bring {LEAST_ROWS} rows or more.",
        )


def _fit_intents(recipe: _Recipe, rows: Sequence[DecisionRow]) -> IntentModel:
    _refuse_unseen_intents(recipe.spec, rows)
    recipe.progress("fitting intents", 0, 1)
    texts = _texts(recipe.spec, rows)
    outside = recipe.spec.out_of_scope
    return fit_intent(texts, recipe.embedder, out_of_scope=outside, seed=recipe.seed)


def _fit_retrieval(
    recipe: _Recipe,
    corpus: str,
    index: HybridIndex,
    rows: Sequence[DecisionRow],
    kept: Retriever | None,
) -> tuple[Retriever, Any]:
    """A scorer learns from lists that the ranker's folds made; the ranker of `kept` may stay."""
    recipe.progress(f"fitting the ranker of {corpus}", 0, 1)
    fitted, report = fit_retriever(
        recipe.spec,
        corpus,
        index,
        rows,
        recipe.embedder,
        seed=recipe.seed,
        progress=recipe.progress,
    )
    if kept is None:
        return fitted, report
    mixed = Retriever(
        index=index, embedder=recipe.embedder, ranker=kept.ranker, quality=fitted.quality
    )
    return mixed, report


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
