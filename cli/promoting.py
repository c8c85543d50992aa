"""Makes a version live that was registered before: an older one again is a rollback."""

import getpass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.home import Home
    from core.store import Version


def promote(
    home: "Home", tenant: str, prefix: str, decision: str | None, reason: str | None
) -> dict[str, Any]:
    """Raises Conflict where something is in the way of it, InvalidRequest where it is another
    decision's, and whatever a release raises that does not load."""
    version = home.store.version(tenant, prefix)
    if decision is not None:
        refuse_other(version, decision)
    if version.state == "registered":  # what was refused is refused by the store
        _refuse_obstacles(home, version)
        _load(home, tenant, version)
    before = home.store.live_release(tenant, version.decision)
    who = _whoever_runs_this()
    promoted = home.store.promote_version(tenant, version, who=who, reason=reason)
    assert promoted.promoted_at is not None
    return {
        "id": version.id,
        "decision": version.decision,
        "step": version.step,
        "release": version.artifact,
        "before": before,
        "trial": version.trial,
        "promoted_at": promoted.promoted_at.isoformat(),
        "who": who,
        "reason": reason,
    }


def refuse_other(version: "Version", decision: str) -> None:
    from core.errors import InvalidRequest

    if version.decision != decision:
        raise InvalidRequest(
            "RUNG-VERSION-OTHER",
            f"version {version.id[:12]} is of the decision '{version.decision}'",
            way_out="`rung registry list` shows what belongs to whom.",
        )


def _refuse_obstacles(home: "Home", version: "Version") -> None:
    """A trial was let in by the home as it was then; this one may not be for trials."""
    from lab.lineage import Lineage, promotable

    lineage = Lineage.from_json(version.lineage)
    for obstacle in promotable(lineage, allow_dirty=home.settings.allow_dirty):
        raise obstacle


def _load(home: "Home", tenant: str, version: "Version") -> None:
    """As a server will, over the indexes that are searched at present."""
    from cli.home import embedder_of
    from rankers.corpora import load_index
    from router.parts import RELEASE, LadderParts
    from router.searched import searched_now

    files = home.artifacts.get(tenant, version.artifact, RELEASE).files
    spec = LadderParts.from_files(files, {}, None).spec  # all but what reads a text
    if not spec.by_text:
        return
    embedder = embedder_of(home.settings)
    fingerprint = embedder.fingerprint
    rows = searched_now(home.store, tenant, spec, fingerprint).indexes
    indexes = {
        corpus: load_index(home.artifacts, tenant, row.artifact_id, fingerprint=fingerprint)
        for corpus, row in rows.items()
    }
    LadderParts.from_files(files, indexes, embedder)


def _whoever_runs_this() -> str:
    """As the system names whoever is logged in; a container may know no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
