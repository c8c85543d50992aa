"""Registers what was fitted, with its lineage, and makes it live where nothing is in the way."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from core.artifacts import ArtifactStore
from core.errors import Conflict
from core.feature_schema import digest, schema_of
from core.store import NewVersion, Store, Version
from lab.evaluation import CHECKS_FILE, EVALUATION, EVALUATION_FILE, Evaluation
from lab.fit_release import Asked, Fitted
from lab.lineage import (
    ROOT,
    CodeState,
    Lineage,
    as_reasons,
    digest_of_texts,
    is_trial,
    promotable,
    read_environment,
    version_id,
)
from router.parts import RELEASE, LadderParts


@dataclass(frozen=True, kw_only=True)
class Registered:
    version: Version
    fitted: Fitted
    checks: Sequence[Mapping[str, Any]]
    live: bool


def register(
    store: Store,
    artifacts: ArtifactStore,
    tenant: str,
    fitted: Fitted,
    asked: Asked,
    code: CodeState,
    checks: Sequence[Mapping[str, Any]],
    *,
    allow_dirty: bool,
    also: Callable[[Connection], None] | None = None,
) -> Registered:
    """Files first, the row last: a training that is killed leaves no version behind.

    `code` is as it ran, which may have been edited since; `also` is written with a promotion.
    """
    name = fitted.parts.spec.name
    release = artifacts.put(tenant, RELEASE, fitted.parts.to_files(), {"decision": name})
    told = fitted.evaluation.model_dump_json().encode()
    files = {EVALUATION_FILE: told, CHECKS_FILE: json.dumps(checks, allow_nan=False).encode()}
    evaluation = artifacts.put(tenant, EVALUATION, files, {"decision": name})
    lineage = _lineage(fitted, asked, code, evaluation)
    obstacles = promotable(lineage, allow_dirty=allow_dirty) + _of_gate(fitted.evaluation)
    version = store.register_version(
        tenant,
        NewVersion(
            id=version_id(lineage, release),
            decision=name,
            step=fitted.evaluation.gate.registered,
            artifact=release,
            evaluation=evaluation,
            lineage=lineage.to_json(),
            reasons=as_reasons(obstacles),
            trial=is_trial(lineage),
        ),
        promote=not obstacles,
        also=also,
    )
    return Registered(version=version, fitted=fitted, checks=checks, live=not obstacles)


def _lineage(fitted: Fitted, asked: Asked, code: CodeState, evaluation: str) -> Lineage:
    return Lineage(
        code=code,
        snapshot=fitted.evaluation.snapshot,
        features=digest(schema_of(fitted.parts.spec)),
        spec=digest_of_texts(_written(fitted.parts)),
        environment=read_environment(ROOT),
        evaluation=evaluation,
        parameters=asdict(asked),
        indexes=fitted.indexes,
    )


def _written(parts: LadderParts) -> dict[str, str]:
    texts = {"decision.yaml": parts.decision_yaml, "rules.yaml": parts.rules_yaml}
    return texts | asdict(parts.prompts)


def _of_gate(evaluation: Evaluation) -> list[Conflict]:
    """A ladder that reads a text is one thing: where it does not earn its place, none is let in."""
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
