"""The evaluation of a decision: as training stored it, or of the live release on other rows."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.told import note
from lab.evaluation import CHECKS_FILE, EVALUATION, EVALUATION_FILE

if TYPE_CHECKING:
    from cli.home import Home
    from core.store import Version
    from lab.snapshots import Snapshot
    from router.live import Live

Progress = Callable[[str, int, int], None]


def report_of(home: "Home", tenant: str, spec: str, prefix: str | None) -> dict[str, Any]:
    """Raises NotFound where nothing was trained under that name, InvalidDocument where the Rung
    that trained it told evaluations in another form."""
    from cli.commands.decide import name_of
    from cli.promoting import refuse_other
    from cli.registry_views import evaluation_of
    from core.store.releases import unknown_decision

    name = name_of(spec)
    if prefix is not None:
        version = home.store.version(tenant, prefix)
        refuse_other(version, name)
    else:
        versions = home.store.versions(tenant, name)
        if not versions:
            raise unknown_decision(name, home.store.decision_names(tenant))
        version = versions[0]
    stored = evaluation_of(home, tenant, version)
    return {
        "decision": version.decision,
        "version": version.id,
        "release": version.artifact,
        "ladder": None,
        "evaluation": stored.model_dump(mode="json") if stored else None,
        "checks": _stored(home, tenant, version, CHECKS_FILE),
    }


def _stored(home: "Home", tenant: str, version: "Version", name: str) -> Any:
    from core.json_source import parse_json

    return parse_json(home.artifacts.get(tenant, str(version.evaluation), EVALUATION).files[name])


def judged_on(
    home: "Home",
    tenant: str,
    spec: str,
    data: Path,
    events: Sequence[str] | None,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """The live release; with the keyless door, as every rung is asked on every row."""
    from cli.commands.decide import name_of, tell_if_changed
    from cli.home import open_runtime
    from cli.snapshots import snapshot_of

    runtime = open_runtime(home, keyless=True)
    live = asyncio.run(runtime.live(tenant, name_of(spec)))
    tell_if_changed(spec, live)
    rows = snapshot_of(home, tenant, live.spec, data, None, progress, events=events)
    version = _version_of(home, tenant, live)
    _warn_if_seen(home, tenant, version, rows)
    told: dict[str, Any] = {
        "decision": live.spec.name,
        "version": version.id if version else None,
        "release": live.ladder.release,
        "checks": [],
    }
    if live.spec.by_text:
        return told | _by_text(live, rows, seed, progress)
    return told | {
        "ladder": None,
        "evaluation": _by_fields(home, tenant, live, rows, version, seed),
    }


def _version_of(home: "Home", tenant: str, live: "Live") -> "Version | None":
    versions = home.store.versions(tenant, live.spec.name)
    return next((one for one in versions if one.artifact == live.ladder.release), None)


def _warn_if_seen(home: "Home", tenant: str, version: "Version | None", rows: "Snapshot") -> None:
    """By the id, and by the time where there is one: row by row nobody looks."""
    from cli.snapshots import open_snapshots
    from core.errors import RungError

    if version is None:
        return
    if version.lineage["snapshot"] == rows.id:
        note("these are the very rows it was trained on: the figures promise too much")
        return
    try:
        trained = open_snapshots(home).get(tenant, str(version.lineage["snapshot"])).manifest
    except RungError:
        return
    own = rows.manifest.time_range
    if own and trained.time_range and own[0] <= trained.time_range[1]:
        until = trained.time_range[1][:16]
        note(f"training had rows until {until}: figures on earlier ones may promise too much")


def _by_text(live: "Live", rows: "Snapshot", seed: int, progress: Progress) -> dict[str, Any]:
    from lab.decision_evaluation import evaluation_of
    from lab.decision_rows import decision_rows
    from lab.evaluate_decision import evaluate_observed
    from lab.latency import time_ladder
    from lab.temporal_split import all_given
    from lab.traces import observe

    facts = decision_rows(live.spec, rows)
    seen = observe(live.ladder, facts, lambda n, total: progress("scoring", n, total))
    policy = live.ladder.policy
    evaluation = evaluation_of(
        live.spec,
        policy,
        seen,
        all_given(len(facts)).told(),
        [],
        snapshot=rows.id,
        time_again=partial(time_ladder, live.ladder, facts),
        seed=seed,
    )
    return {
        "ladder": evaluate_observed(live.spec, policy, seen, seed=seed),
        "evaluation": evaluation.model_dump(mode="json"),
    }


def _by_fields(
    home: "Home",
    tenant: str,
    live: "Live",
    rows: "Snapshot",
    version: "Version | None",
    seed: int,
) -> Any:
    from core.artifacts import under
    from lab.table_data import read_table
    from lab.train_table import judge_table
    from router.parts import RELEASE
    from router.risk import RiskModel
    from rules.ruleset import RulesEngine

    files = home.artifacts.get(tenant, live.ladder.release, RELEASE).files
    rules = RulesEngine.from_text(files["rules.yaml"].decode())
    data = read_table(live.spec, rows, rules)
    rate = (
        _stored(home, tenant, version, EVALUATION_FILE)["split"]["base_rate"]["fit"]
        if version
        else 0.5
    )
    model = RiskModel.from_files(under(files, "risk"))
    step: Any = version.step if version else "boosted"
    told = judge_table(
        data, model, step, rate, live.ladder.policy.after, snapshot=rows.id, seed=seed
    )
    return told.model_dump(mode="json")
