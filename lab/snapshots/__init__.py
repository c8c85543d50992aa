"""Immutable tables of a decision's past, known by their content."""

from lab.snapshots.diff import diff
from lab.snapshots.manifest import ColumnInfo, FileInfo, Manifest, SourceInfo
from lab.snapshots.plan import SEQ, schema_version
from lab.snapshots.snapshot import Snapshot
from lab.snapshots.store import SnapshotStore

__all__ = [
    "SEQ",
    "ColumnInfo",
    "FileInfo",
    "Manifest",
    "Snapshot",
    "SnapshotStore",
    "SourceInfo",
    "diff",
    "schema_version",
]
