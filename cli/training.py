"""Trains a decision of this home from a snapshot, and registers what came out."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cli.decision_folder import DecisionFolder
    from cli.home import Home
    from core.embedding import TextEmbedder
    from core.store import Version
    from lab.fit_release import Asked, JudgedIndex
    from lab.register_release import Registered
    from lab.snapshots import Snapshot
    from lab.train_decision import Written
    from router.parts import LadderParts

Progress = Callable[[str, int, int], None]


def train(
    home: "Home",
    tenant: str,
    folder: "DecisionFolder",
    snapshot: "Snapshot",
    asked: "Asked",
    progress: Progress,
) -> "Registered":
    """Raises InvalidDocument where the folder or the rows cannot be trained on."""
    from lab.checks import run_checks
    from lab.fit_release import JudgedIndex, fit_by_fields, fit_by_text
    from lab.lineage import ROOT, read_code_state
    from lab.register_release import register
    from lab.train_decision import Written

    written = Written(
        decision_yaml=folder.decision_yaml, rules_yaml=folder.rules_yaml, prompts=folder.prompts
    )
    code = read_code_state(ROOT, home.settings)  # as it runs: it may be edited meanwhile
    also: Callable[[Connection], None] | None = None
    if folder.spec.by_text:
        from cli.corpora import folder_indexes, promotion
        from cli.home import embedder_of

        embedder = embedder_of(home.settings)
        progress("preparing the corpora", 0, 1)
        made = folder_indexes(home, tenant, folder, embedder)
        indexes = {
            corpus: JudgedIndex(artifact=one.stored.artifact_id, index=one.index)
            for corpus, one in made.items()
        }
        before = _release(home, tenant, asked.base, indexes, embedder)
        fitted = fit_by_text(
            written, snapshot, asked, embedder, indexes, before, home.clock, progress
        )
        also = promotion(home, tenant, folder.spec.name, made)
    else:
        fitted = fit_by_fields(written, snapshot, asked, progress)
    found = run_checks(
        folder.spec, snapshot, rules=folder.rules, progress=progress, seed=asked.seed
    )
    return register(
        home.store,
        home.artifacts,
        tenant,
        fitted,
        asked,
        code,
        [one.to_json() for one in found],
        allow_dirty=home.settings.allow_dirty,
        also=also,
    )


def retrain(home: "Home", tenant: str, version: "Version", progress: Progress) -> str:
    """The artifact that comes out when the version is trained again from its lineage."""
    from cli.snapshots import open_snapshots
    from core.errors import Conflict
    from core.spec import parse_spec
    from lab.fit_release import Asked, JudgedIndex, fit_by_fields, fit_by_text
    from lab.lineage import Lineage
    from router.parts import RELEASE

    lineage = Lineage.from_json(version.lineage)
    if lineage.snapshot is None:
        raise Conflict(
            "RUNG-LINEAGE-SNAPSHOT",
            "the version does not say which data it was trained on",
            way_out="Train it on a snapshot: `rung snapshot SPEC DATA` makes one.",
        )
    snapshot = open_snapshots(home).get(tenant, lineage.snapshot)
    written = _written(home.artifacts.get(tenant, version.artifact, RELEASE).files)
    spec = parse_spec(written.decision_yaml)
    asked = Asked(**lineage.parameters)  # type: ignore[arg-type]  # as asdict(Asked) told them
    if spec.by_text:
        from cli.home import embedder_of
        from rankers.corpora import load_index

        embedder = embedder_of(home.settings)
        indexes = {
            corpus: JudgedIndex(
                artifact=artifact, index=load_index(home.artifacts, tenant, artifact)
            )
            for corpus, artifact in lineage.indexes.items()
        }
        before = _release(home, tenant, asked.base, indexes, embedder)
        fitted = fit_by_text(
            written, snapshot, asked, embedder, indexes, before, home.clock, progress
        )
    else:
        fitted = fit_by_fields(written, snapshot, asked, progress)
    return home.artifacts.put(tenant, RELEASE, fitted.parts.to_files(), {"decision": spec.name})


def _release(
    home: "Home",
    tenant: str,
    release: str | None,
    indexes: "Mapping[str, JudgedIndex]",
    embedder: "TextEmbedder",
) -> "LadderParts | None":
    if release is None:
        return None
    from router.parts import RELEASE, LadderParts

    opened = {corpus: judged.index for corpus, judged in indexes.items()}
    files = home.artifacts.get(tenant, release, RELEASE).files
    return LadderParts.from_files(files, opened, embedder)


def _written(files: Mapping[str, bytes]) -> "Written":
    """What the owner wrote, as the release keeps it."""
    from lab.train_decision import Written
    from llm import Prompts
    from llm.prompting import TASKS

    return Written(
        decision_yaml=files["decision.yaml"].decode(),
        rules_yaml=files["rules.yaml"].decode(),
        prompts=Prompts(**{task: files[f"prompts/{task}.md"].decode() for task in TASKS}),
    )
