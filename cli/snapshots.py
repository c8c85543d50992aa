"""The snapshot that a command works on: one that is stored, or a table that becomes one first."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.told import note

if TYPE_CHECKING:
    from cli.home import Home
    from core.spec import DecisionSpec
    from lab.point_in_time import EventTable
    from lab.snapshots import Snapshot, SnapshotStore

Progress = Callable[[str, int, int], None]


def open_snapshots(home: "Home") -> "SnapshotStore":
    from lab.snapshots import SnapshotStore

    return SnapshotStore(home.settings.home / "snapshots", home.clock)


def snapshot_of(
    home: "Home",
    tenant: str,
    spec: "DecisionSpec",
    data: Path | None,
    snapshot: str | None,
    progress: Progress,
    *,
    events: Sequence[str] | None = None,
) -> "Snapshot":
    """`events` as TYPE=FILE; without them those that the API was told are joined.

    Raises InvalidRequest where both or neither are named, or the snapshot is of another decision.
    """
    from core.errors import InvalidRequest
    from lab.snapshots import schema_version

    if (data is None) == (snapshot is None):
        raise InvalidRequest(
            "RUNG-SNAPSHOT-CHOICE",
            "rows come from a table or from a snapshot",
            way_out="Name one of --data FILE and --snapshot ID.",
        )
    store = open_snapshots(home)
    if data is not None:
        tables, named = _events(home, tenant, spec, events)
        made = store.put(tenant, spec, data, events=tables, named=named, progress=progress)
        note(f"snapshot {made.id[:12]}, {made.rows:,} rows")
        return made
    found = store.get(tenant, str(snapshot))
    if found.manifest.decision != spec.name:
        raise InvalidRequest(
            "RUNG-SNAPSHOT-OTHER",
            f"snapshot {found.id[:12]} is of the decision '{found.manifest.decision}'",
            way_out="`rung snapshots list` shows what belongs to whom.",
        )
    if found.manifest.schema_version != schema_version(spec):
        raise InvalidRequest(
            "RUNG-SNAPSHOT-SCHEMA",
            f"decision.yaml has changed since snapshot {found.id[:12]} was made of its columns",
            way_out="Make a snapshot of the table again.",
        )
    return found


def _events(
    home: "Home", tenant: str, spec: "DecisionSpec", given: Sequence[str] | None
) -> "tuple[Mapping[str, EventTable], Callable[[str], str] | None]":
    """The events by type of entity, and how they name an entity of the table."""
    from core.errors import InvalidRequest
    from core.identity.pseudonym import pseudonym
    from lab.point_in_time import read_events, told_tables

    if not spec.entities:
        if given:
            raise InvalidRequest(
                "RUNG-EVENTS-MISSING",
                f"{spec.name} declares no entities, so no events are read",
                way_out="Leave --events out, or declare entities in decision.yaml.",
            )
        return {}, None
    if given:
        files = {name: file for name, _, file in (one.partition("=") for one in given)}
        strange = sorted(files.keys() - spec.entities.keys())
        if strange or not all(files.values()):
            raise InvalidRequest(
                "RUNG-EVENTS-MISSING",
                f"--events {given[0]} names no type of entity and its file",
                way_out=f"Write TYPE=FILE with one of: {', '.join(spec.entities)}.",
            )
        return {
            name: read_events(Path(file), spec.entities[name]) for name, file in files.items()
        }, None
    tables, secret = told_tables(spec, home.store, tenant), home.settings.secret
    count = sum(len(table.known) for table in tables.values())
    note(f"no --events: joined are the {count} events that the API was told")
    return tables, lambda entity: pseudonym(secret, tenant, entity)
