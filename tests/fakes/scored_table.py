"""A live decision by fields with a small booster, a store, and tables to be scored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from cli.bench_score import as_request, decided
from core.artifacts import ArtifactStore
from core.calibration import Platt
from core.features import compute
from core.spec import parse_spec
from core.store import Store
from lab.drawn_requests import draw
from lab.table_data import categorical_of
from llm import ExtractiveDoor, LanguageDoor
from llm.prompting import Prompts
from router.batch_scoring import BatchScorer, live_scorer
from router.parts import RELEASE, LadderParts
from router.policy import CostPolicy
from router.risk import BoostedTrees, RiskModel
from router.runtime import Runtime
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import SECRET, settings_for
from workers.score_table import Asked, Counts, score_table

TENANT = "acme"
SILENT = "version: '1'\nhit_policy: first\n"


@dataclass(frozen=True, kw_only=True)
class ScoredTable:
    folder: Path
    clock: FixedClock
    store: Store
    artifacts: ArtifactStore
    runtime: Runtime

    @property
    def scorer(self) -> BatchScorer:
        names = self.store.decision_names(TENANT)
        return live_scorer(self.store, self.artifacts, TENANT, names[0])

    def scored(self, table: Path, output: Path, **changed: Any) -> Counts:
        told = {"overwrite": False, "keep": True, "scored_at": self.clock.now(), **changed}
        asked = Asked(tenant_id=TENANT, table=table, output=output, **told)
        return score_table(self.scorer, self.store, SECRET, asked)

    def decided(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What the ladder says of each row by itself."""
        (name,) = self.store.decision_names(TENANT)

        async def each() -> list[dict[str, Any]]:
            return [await decided(self.runtime, TENANT, name, as_request(row)) for row in rows]

        return asyncio.run(each())

    def release(self, written: str, rules: str = SILENT, *, least: float | None = None) -> str:
        """Fits a booster on drawn requests and makes it live."""
        parts = _parts(written, rules, least)
        made = self.artifacts.put(TENANT, RELEASE, parts.to_files(), {"decision": parts.spec.name})
        self.store.register_release(TENANT, parts.spec.name, made)
        return made


def opened(folder: Path) -> ScoredTable:
    """Without a release."""
    folder.mkdir(exist_ok=True)
    clock, settings = FixedClock(), settings_for(folder)
    store = Store.open(settings.database_url, clock, secret=SECRET)
    artifacts = ArtifactStore(settings.artifacts, SECRET.get_secret_value().encode())

    def door(parts: LadderParts, embedder: Any) -> LanguageDoor:
        return ExtractiveDoor(embedder=embedder or HashingEmbedder())

    runtime = Runtime(
        settings=settings,
        store=store,
        artifacts=artifacts,
        embedder=HashingEmbedder,
        door=door,
        clock=clock,
    )
    return ScoredTable(
        folder=folder, clock=clock, store=store, artifacts=artifacts, runtime=runtime
    )


def with_scores(written: str, **scores: Any) -> str:
    return yaml.safe_dump({**yaml.safe_load(written), "scores": scores}, sort_keys=False)


def outputs(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def said(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a batch and an online decision have in common."""
    return [{n: row[n] for n in ("probability", "outcome", "rung", "error")} for row in rows]


def parquet(path: Path, spec: Any, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The rows with a column for each field, as a typed table has it; times stay texts."""
    kinds = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}
    columns = {
        name: pa.array([row.get(name) for row in rows], kinds.get(field.type, pa.string()))
        for name, field in spec.request.fields.items()
        if field.available
    }
    pq.write_table(pa.table(columns), path, row_group_size=500)
    return path


def _parts(written: str, rules: str, least: float | None) -> LadderParts:
    spec = parse_spec(written)
    assert spec.risk is not None
    drawn = draw(spec, requests=800, seed=11).requests
    features = spec.entity_features
    facts = [{**row, **dict.fromkeys(features, float(n % 7))} for n, row in enumerate(drawn)]
    for one in facts:
        for name, field in spec.request.fields.items():
            if field.type == "category" and one.get(name) not in field.values:
                one[name] = None
    categories = {name: field.values for name, field in spec.request.fields.items()}
    matrix = compute(spec.risk.features, facts, categories)
    source = np.random.default_rng(3)
    logit = np.nan_to_num(matrix[:, 0] / (np.nanstd(matrix[:, 0]) or 1)) + source.normal(size=800)
    told = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "seed": 1, "num_threads": 1}
    places = sorted(categorical_of(spec))
    labels = (logit > np.median(logit)).astype(int)
    data = lightgbm.Dataset(matrix, labels, categorical_feature=places)
    booster = lightgbm.train(told, data, num_boost_round=30)
    return LadderParts(
        decision_yaml=written,
        rules_yaml=rules,
        spec=spec,
        rules=RulesEngine.from_text(rules),
        intents=None,
        risk=RiskModel(
            names=tuple(spec.risk.features),
            scorer=BoostedTrees(booster.model_to_string()),
            calibrator=Platt(slope=1.1, intercept=-0.2),
            least=least,
        ),
        retrievers={},
        prompts=Prompts.load(Path("prompts")),
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )
