"""Trains a decision from a snapshot and registers what came out, with its lineage."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cli.decision_folder import DecisionFolder
    from cli.home import Home
    from core.embedding import TextEmbedder
    from core.spec import DecisionSpec
    from core.store import Version
    from lab.evaluation import Evaluation
    from lab.lineage import CodeState
    from lab.snapshots import Snapshot
    from lab.train_decision import Only, Written
    from rankers.index import HybridIndex
    from router.parts import LadderParts

Progress = Callable[[str, int, int], None]
EVALUATION = "evaluation"
EVALUATION_FILE = "evaluation.json"
CHECKS_FILE = "checks.json"
PARITY_REQUESTS = 300  # before every promotion; `rung parity` compares as many as you like


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What training was told; with code, data and environment it settles every byte.

    `base` is the release whose other parts stay where only one is fitted.
    """

    seed: int = 0
    split: str = "temporal"
    heavier: bool = False
    only: "Only | None" = None
    base: str | None = None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    parts: "LadderParts"
    evaluation: "Evaluation"
    report: Mapping[str, Any] | None  # of a ladder that reads a text
    indexes: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Registered:
    version: "Version"
    fitted: Fitted
    checks: Sequence[Mapping[str, Any]]
    live: bool


def written_of(folder: "DecisionFolder") -> "Written":
    from lab.train_decision import Written

    return Written(
        decision_yaml=folder.decision_yaml, rules_yaml=folder.rules_yaml, prompts=folder.prompts
    )


def train(
    home: "Home",
    tenant: str,
    folder: "DecisionFolder",
    snapshot: "Snapshot",
    asked: Asked,
    progress: Progress,
) -> Registered:
    """Files first, the row last: a training that is killed leaves no version behind."""
    from lab.checks import run_checks
    from lab.lineage import ROOT, read_code_state

    written = written_of(folder)
    code = read_code_state(ROOT, home.settings)  # as it runs: it may be edited meanwhile
    also: Callable[[Connection], None] | None = None
    if folder.spec.by_text:
        from cli.corpora import folder_indexes, promotion
        from cli.home import embedder_of

        embedder = embedder_of(home.settings)
        progress("preparing the corpora", 0, 1)
        made = folder_indexes(home, tenant, folder, embedder)
        indexes = {c: (one.stored.artifact_id, one.index) for c, one in made.items()}
        fitted = _fit_text(home, tenant, written, snapshot, asked, embedder, indexes, progress)
        also = promotion(home, tenant, folder.spec.name, made)
    else:
        fitted = _fit_table(written, folder.spec, snapshot, asked, progress)
    found = run_checks(
        folder.spec, snapshot, rules=folder.rules, progress=progress, seed=asked.seed
    )
    checks = [one.to_json() for one in found]
    return _register(
        home, tenant, folder.spec, written, snapshot, asked, fitted, checks, code, also
    )


def retrain(home: "Home", tenant: str, version: "Version", progress: Progress) -> str:
    """The artifact that comes out when the version is trained again from its lineage."""
    from cli.snapshots import open_snapshots
    from core.errors import Conflict
    from core.spec import parse_spec
    from lab.lineage import Lineage
    from lab.train_decision import Written
    from llm import Prompts
    from llm.prompting import TASKS
    from router.parts import RELEASE

    lineage = Lineage.from_json(version.lineage)
    if lineage.snapshot is None:
        raise Conflict(
            "RUNG-LINEAGE-SNAPSHOT",
            "the version does not say which data it was trained on",
            way_out="Train it on a snapshot: `rung snapshot SPEC DATA` makes one.",
        )
    snapshot = open_snapshots(home).get(tenant, lineage.snapshot)
    files = home.artifacts.get(tenant, version.artifact, RELEASE).files
    written = Written(
        decision_yaml=files["decision.yaml"].decode(),
        rules_yaml=files["rules.yaml"].decode(),
        prompts=Prompts(**{task: files[f"prompts/{task}.md"].decode() for task in TASKS}),
    )
    spec = parse_spec(written.decision_yaml)
    asked = Asked(**lineage.parameters)  # type: ignore[arg-type]  # as asdict(Asked) told them
    if spec.by_text:
        from cli.home import embedder_of

        embedder = embedder_of(home.settings)
        indexes = {
            corpus: (artifact, _stored_index(home, tenant, artifact))
            for corpus, artifact in lineage.indexes.items()
        }
        fitted = _fit_text(home, tenant, written, snapshot, asked, embedder, indexes, progress)
    else:
        fitted = _fit_table(written, spec, snapshot, asked, progress)
    return home.artifacts.put(tenant, RELEASE, fitted.parts.to_files(), {"decision": spec.name})


def _fit_text(
    home: "Home",
    tenant: str,
    written: "Written",
    snapshot: "Snapshot",
    asked: Asked,
    embedder: "TextEmbedder",
    indexes: "Mapping[str, tuple[str, HybridIndex]]",
    progress: Progress,
) -> Fitted:
    from cli.home import keyless_door
    from core.spec import parse_spec
    from lab.decision_rows import decision_rows
    from lab.reproducible import one_blas_thread
    from lab.train_decision import train_decision

    spec = parse_spec(written.decision_yaml)
    rows = decision_rows(spec, snapshot)
    opened = {corpus: index for corpus, (_, index) in indexes.items()}
    with one_blas_thread():
        trained = train_decision(
            written,
            rows,
            opened,
            embedder,
            door=keyless_door(embedder),
            clock=home.clock,
            snapshot=snapshot.id,
            kind=asked.split,
            only=asked.only,
            before=_parts(home, tenant, asked.base, opened, embedder),
            parity=_parity(spec, asked, progress),
            seed=asked.seed,
            progress=progress,
        )
    return Fitted(
        parts=trained.parts,
        evaluation=trained.evaluation,
        report=trained.report,
        indexes={corpus: artifact for corpus, (artifact, _) in indexes.items()},
    )


def _parts(
    home: "Home",
    tenant: str,
    base: str | None,
    indexes: "Mapping[str, HybridIndex]",
    embedder: "TextEmbedder",
) -> "LadderParts | None":
    if base is None:
        return None
    from router.parts import RELEASE, LadderParts

    return LadderParts.from_files(
        home.artifacts.get(tenant, base, RELEASE).files, indexes, embedder
    )


def _fit_table(
    written: "Written",
    spec: "DecisionSpec",
    snapshot: "Snapshot",
    asked: Asked,
    progress: Progress,
) -> Fitted:
    from lab.reproducible import one_blas_thread
    from lab.table_data import read_table
    from lab.train_table import train_table
    from router.parts import LadderParts
    from router.policy import CostPolicy
    from router.support import SupportModel
    from rules.ruleset import RulesEngine

    rules = RulesEngine.from_text(written.rules_yaml)
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


def _parity(spec: "DecisionSpec", asked: Asked, progress: Progress) -> dict[str, int]:
    """Whether serving computes what training saw, on drawn requests."""
    from lab.parity import compare

    told = compare(spec, requests=PARITY_REQUESTS, seed=asked.seed, progress=progress)
    return {name: told[name] for name in ("compared", "differences")}


def _register(
    home: "Home",
    tenant: str,
    spec: "DecisionSpec",
    written: "Written",
    snapshot: "Snapshot",
    asked: Asked,
    fitted: Fitted,
    checks: Sequence[Mapping[str, Any]],
    code: "CodeState",
    also: "Callable[[Connection], None] | None",
) -> Registered:
    from core.feature_schema import digest, schema_of
    from core.store import NewVersion
    from lab.lineage import (
        ROOT,
        Lineage,
        as_reasons,
        digest_of_texts,
        is_trial,
        promotable,
        read_environment,
        version_id,
    )
    from router.parts import RELEASE

    release = home.artifacts.put(tenant, RELEASE, fitted.parts.to_files(), {"decision": spec.name})
    told = fitted.evaluation.model_dump_json().encode()
    files = {EVALUATION_FILE: told, CHECKS_FILE: json.dumps(checks, allow_nan=False).encode()}
    evaluation = home.artifacts.put(tenant, EVALUATION, files, {"decision": spec.name})
    texts = {"decision.yaml": written.decision_yaml, "rules.yaml": written.rules_yaml}
    lineage = Lineage(
        code=code,
        snapshot=snapshot.id,
        features=digest(schema_of(spec)),
        spec=digest_of_texts(texts | asdict(written.prompts)),
        environment=read_environment(ROOT),
        evaluation=evaluation,
        parameters=asdict(asked),
        indexes=fitted.indexes,
    )
    obstacles = promotable(lineage, allow_dirty=home.settings.allow_dirty)
    obstacles += _refused_by_gate(fitted.evaluation)
    live = not obstacles
    version = home.store.register_version(
        tenant,
        NewVersion(
            id=version_id(lineage, release),
            decision=spec.name,
            step=fitted.evaluation.gate.registered,
            artifact=release,
            evaluation=evaluation,
            lineage=lineage.to_json(),
            reasons=as_reasons(obstacles),
            trial=is_trial(lineage),
        ),
        promote=live,
        also=also,
    )
    return Registered(version=version, fitted=fitted, checks=checks, live=live)


def _refused_by_gate(evaluation: "Evaluation") -> list[Any]:
    """A ladder that reads a text is one thing: where it does not earn its place, none is let in."""
    from core.errors import Conflict

    gate = evaluation.gate
    if evaluation.kind != "decision" or gate.registered == gate.heaviest:
        return []
    why = next((reason.what for reason in gate.reasons if not reason.holds), gate.problem)
    return [
        Conflict(
            "RUNG-GATE-REFUSED",
            f"the gate prefers '{gate.registered}' to the whole ladder: {why}",
            way_out="Bring more or better rows, or see the report; what was live stays live.",
        )
    ]


def _stored_index(home: "Home", tenant: str, artifact: str) -> "HybridIndex":
    from rankers.corpora import load_index

    return load_index(home.artifacts, tenant, artifact)
