"""What the registry says of its versions: side by side, as a tree, or made once more."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from cli.home import Home
from core.contracts import Json
from core.errors import InvalidDocument
from core.store import Version
from lab.evaluation import EVALUATION, EVALUATION_FILE, Evaluation, Figure, SliceRow
from lab.lineage import ROOT, Lineage, differences, read_code_state, read_environment

Progress = Callable[[str, int, int], None]
Retrain = Callable[[Home, str, Version, Progress], str]
UNPAIRED = (
    "the intervals are each version's own; whether one beats the other is what a paired "
    "comparison of the same rows says, as the gate makes it"
)


def summaries(home: Home, tenant: str, versions: Sequence[Version]) -> list[dict[str, Any]]:
    """In the order of `versions`; live is the newest promotion of the release in force."""
    live: set[str] = set()
    for decision in {version.decision for version in versions}:
        release = home.store.live_release(tenant, decision)
        promoted = [
            (version.promoted_at, version.seq, version.id)
            for version in home.store.versions(tenant, decision)
            if version.artifact == release and version.promoted_at is not None
        ]
        live.update(version_id for *_, version_id in sorted(promoted)[-1:])
    return [_summary(version, version.id in live) for version in versions]


def _summary(version: Version, live: bool) -> dict[str, Any]:
    lineage = Lineage.from_json(version.lineage)
    promoted = version.promoted_at
    return {
        "id": version.id,
        "decision": version.decision,
        "step": version.step,
        "state": version.state,
        "trial": version.trial,
        "live": live,
        "artifact": version.artifact,
        "evaluation": version.evaluation,
        "snapshot": lineage.snapshot,
        "revision": lineage.code.revision if lineage.code else None,
        "created_at": version.created_at.isoformat(),
        "promoted_at": promoted.isoformat() if promoted else None,
    }


def evaluation_of(home: Home, tenant: str, version: Version) -> Evaluation | None:
    """Raises InvalidDocument for one that this version of Rung does not read."""
    if version.evaluation is None:
        return None
    stored = home.artifacts.get(tenant, version.evaluation, EVALUATION)
    try:
        return Evaluation.model_validate_json(stored.files[EVALUATION_FILE])
    except (KeyError, ValueError) as error:
        raise InvalidDocument(
            "RUNG-EVALUATION-FORMAT",
            f"the evaluation of version {version.id[:12]} is of another format",
            way_out="Read it with the version of Rung that made it, or train again.",
        ) from error


def shown(home: Home, tenant: str, version: Version) -> dict[str, Any]:
    evaluation = evaluation_of(home, tenant, version)
    (summary,) = summaries(home, tenant, [version])
    figures = _figures(evaluation).items()
    return {
        **summary,
        "promotions": _promotions(home, tenant, version),
        "reasons": [dict(reason) for reason in version.reasons],
        "gate": evaluation.gate.model_dump(mode="json") if evaluation else None,
        "figures": [
            {"step": step, "metric": metric, **figure.model_dump(mode="json")}
            for (step, metric), figure in figures
        ],
    }


def _promotions(home: Home, tenant: str, version: Version) -> list[dict[str, Any]]:
    """The newest first; of its artifact, which a training on other data may have made too."""
    return [
        {"at": one.registered_at.isoformat(), "who": one.who, "reason": one.reason}
        for one in home.store.promotions(tenant, version.decision)
        if one.digest == version.artifact
    ]


def compared(home: Home, tenant: str, a: Version, b: Version) -> dict[str, Any]:
    """The figures of both, the slices whose verdict differs, and what they were made of."""
    left, right = (evaluation_of(home, tenant, version) for version in (a, b))
    of_a, of_b = summaries(home, tenant, [a, b])
    return {
        "a": of_a,
        "b": of_b,
        "same_data": of_a["snapshot"] is not None and of_a["snapshot"] == of_b["snapshot"],
        "figures": _side_by_side(("step", "metric"), _figures(left), _figures(right)),
        "slices": [
            pair
            for pair in _side_by_side(("slice", "value"), _slices(left), _slices(right))
            if _verdict(pair["a"]) != _verdict(pair["b"])
        ],
        "lineage": _differences(Lineage.from_json(a.lineage), Lineage.from_json(b.lineage)),
        "note": UNPAIRED,
    }


def _figures(evaluation: Evaluation | None) -> dict[tuple[str, str], Figure]:
    steps = evaluation.steps if evaluation else ()
    return {
        (step.name, metric): figure for step in steps for metric, figure in step.figures.items()
    }


def _slices(evaluation: Evaluation | None) -> dict[tuple[str, str], SliceRow]:
    rows = evaluation.slices if evaluation else ()
    return {(row.slice, row.value): row for row in rows}


def _side_by_side(
    names: tuple[str, str],
    left: dict[tuple[str, str], Any],
    right: dict[tuple[str, str], Any],
) -> list[dict[str, Any]]:
    keys: Iterable[tuple[str, str]] = dict.fromkeys([*left, *right])  # the ladder's order
    return [
        {
            **dict(zip(names, key, strict=True)),
            "a": left[key].model_dump(mode="json") if key in left else None,
            "b": right[key].model_dump(mode="json") if key in right else None,
        }
        for key in keys
    ]


def _verdict(row: dict[str, Any] | None) -> str | None:
    return row["verdict"] if row else None


def _differences(a: Lineage, b: Lineage) -> list[dict[str, Json]]:
    return [asdict(one) for one in differences(a, b)]


def lineage_told(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "decision": version.decision,
        "lineage": Lineage.from_json(version.lineage).to_json(),
        "artifact": version.artifact,
    }


def reproduced(
    home: Home, tenant: str, version: Version, retrain: Retrain, progress: Progress
) -> dict[str, Any]:
    """Trains from the lineage; `differs` is what is here not as it was then."""
    then = Lineage.from_json(version.lineage)
    now = replace(
        then,
        code=read_code_state(ROOT, home.settings),
        environment=read_environment(ROOT),
    )
    obtained = retrain(home, tenant, version, progress)
    return {
        "id": version.id,
        "decision": version.decision,
        "artifact": version.artifact,
        "obtained": obtained,
        "reproduced": obtained == version.artifact,
        "differs": [
            {"part": one.part, "then": one.a, "now": one.b} for one in differences(then, now)
        ],
    }
