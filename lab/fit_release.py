"""Fits all that one release is from a snapshot: by a text and its corpora, or by fields alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.clock import Clock
from core.embedding import TextEmbedder
from core.spec import DecisionSpec, parse_spec
from lab.decision_rows import decision_rows
from lab.evaluation import Evaluation
from lab.parity import compare
from lab.reproducible import one_blas_thread
from lab.snapshots import Snapshot
from lab.table_data import read_table
from lab.train_decision import Only, Written, train_decision
from lab.train_table import train_table
from llm import ExtractiveDoor, LanguageDoor
from rankers.index import HybridIndex
from rankers.memory import RememberingEmbedder
from router.parts import LadderParts
from router.policy import CostPolicy
from router.support import SupportModel
from rules.ruleset import RulesEngine

PARITY_REQUESTS = 300  # before every promotion; `rung parity` compares as many as you like
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What training was told; with code, data and environment it settles every byte.

    `base` is the release whose other parts stay where only one is fitted.
    """

    seed: int = 0
    split: str = "temporal"
    heavier: bool = False
    only: Only | None = None
    base: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """`indexes` are artifacts by corpus."""

    parts: LadderParts
    evaluation: Evaluation
    report: Mapping[str, Any] | None  # of a ladder that reads a text
    indexes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class JudgedIndex:
    """What the ladder searches while it is judged, and the artifact that holds it."""

    artifact: str
    index: HybridIndex


def fit_by_text(
    written: Written,
    snapshot: Snapshot,
    asked: Asked,
    embedder: TextEmbedder,
    indexes: Mapping[str, JudgedIndex],
    before: LadderParts | None,
    clock: Clock,
    progress: Progress,
) -> Fitted:
    """`before` is the release of `asked.base`. Raises InvalidDocument for rows that do not do."""
    spec = parse_spec(written.decision_yaml)
    rows = decision_rows(spec, snapshot)
    with one_blas_thread():
        trained = train_decision(
            written,
            rows,
            {corpus: judged.index for corpus, judged in indexes.items()},
            embedder,
            door=_keyless_door(embedder),
            clock=clock,
            snapshot=snapshot.id,
            kind=asked.split,
            only=asked.only,
            before=before,
            parity=_parity(spec, asked, progress),
            seed=asked.seed,
            progress=progress,
        )
    return Fitted(
        parts=trained.parts,
        evaluation=trained.evaluation,
        report=trained.report,
        indexes={corpus: judged.artifact for corpus, judged in indexes.items()},
    )


def fit_by_fields(written: Written, snapshot: Snapshot, asked: Asked, progress: Progress) -> Fitted:
    """Raises InvalidDocument for rows that do not do."""
    spec, rules = parse_spec(written.decision_yaml), RulesEngine.from_text(written.rules_yaml)
    progress("reading the snapshot", 0, 1)
    data = read_table(spec, snapshot, rules)
    progress("reading the snapshot", 1, 1)
    with one_blas_thread():
        trained = train_table(
            data,
            snapshot=snapshot.id,
            kind=asked.split,
            heavier=asked.heavier,
            seed=asked.seed,
            parity=_parity(spec, asked, progress),
            progress=progress,
        )
    parts = LadderParts(
        decision_yaml=written.decision_yaml,
        rules_yaml=written.rules_yaml,
        spec=spec,
        rules=rules,
        intents=None,
        risk=trained.model,
        retrievers={},
        prompts=written.prompts,
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after=trained.after),
    )
    return Fitted(parts=parts, evaluation=trained.evaluation, report=None, indexes={})


def _keyless_door(embedder: TextEmbedder) -> LanguageDoor:
    """The same sentences every time, and no money."""
    return ExtractiveDoor(embedder=RememberingEmbedder(embedder))


def _parity(spec: DecisionSpec, asked: Asked, progress: Progress) -> dict[str, int]:
    """Whether serving computes what training saw, on drawn requests."""
    told = compare(spec, requests=PARITY_REQUESTS, seed=asked.seed, progress=progress)
    return {name: told[name] for name in ("compared", "differences")}
