"""Snapshots in a folder each, named by their content: whole or absent, and never written twice.

<root>/<tenant>/<id>/part-00000.parquet ...  the rows in the order of `_seq`
<root>/<tenant>/<id>/manifest.json           written last
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from core.clock import Clock
from core.errors import CorruptArtifact, InvalidDocument
from core.prefix import ByPrefix
from core.spec import DecisionSpec
from lab.point_in_time import EventTable
from lab.snapshots.importing import Imported, import_table
from lab.snapshots.manifest import FORMAT, FileInfo, Manifest, SourceInfo, content_id
from lab.snapshots.plan import plan_of
from lab.snapshots.snapshot import BLOCK, Snapshot, corrupt

MANIFEST = "manifest.json"
PARTIAL = ".partial-"
ABANDONED_S = 86_400  # no import takes a day
_NAMED = ByPrefix(
    thing="snapshot",
    listed_by="rung snapshots list",
    unknown="RUNG-SNAPSHOT-UNKNOWN",
    ambiguous="RUNG-SNAPSHOT-AMBIGUOUS",
    least=4,
)
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
Progress = Callable[[str, int, int], None]


class SnapshotStore:
    def __init__(self, root: Path, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    def put(
        self,
        tenant_id: str,
        spec: DecisionSpec,
        data: Path,
        *,
        events: Mapping[str, EventTable] | None = None,
        named: Callable[[str], str] | None = None,
        progress: Progress = lambda step, done, total: None,
    ) -> Snapshot:
        """The table as a snapshot; the same content is the same snapshot, made once.

        `events` by type of entity are joined as they were known at each row's time; `named` turns
        an id of the table into how the events name it. Raises InvalidDocument, and then nothing
        is left behind.
        """
        folder = self._folder(tenant_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder))
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            plan = plan_of(spec)
            imported = import_table(spec, plan, data, partial, events, named, self._clock, progress)
            manifest = self._manifest(spec, plan.schema_version, data, partial, imported)
            return self._kept(folder, partial, manifest)
        except OSError as error:
            raise _unwritable(folder, error) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def get(self, tenant_id: str, id_or_prefix: str) -> Snapshot:
        """Raises NotFound for none, Conflict for several, CorruptArtifact for a broken one."""

        def beginning(digits: str) -> Sequence[str]:
            return [name for name in self._ids(tenant_id) if name.startswith(digits)]

        return self._open(self._folder(tenant_id) / _NAMED.only(id_or_prefix, beginning))

    def list(self, tenant_id: str, decision: str | None = None) -> Sequence[Manifest]:
        """The newest first."""
        folder = self._folder(tenant_id)
        found = [self._open(folder / name).manifest for name in self._ids(tenant_id)]
        kept = [one for one in found if decision in (None, one.decision)]
        return sorted(kept, key=lambda one: (one.created_at, one.id), reverse=True)

    def _manifest(
        self, spec: DecisionSpec, schema_version: str, data: Path, partial: Path, done: Imported
    ) -> Manifest:
        parts = sorted(partial.glob("part-*.parquet"))
        for path in parts:
            _settle(path)
        files = {
            path.name: FileInfo(sha256=_sha256(path), bytes=path.stat().st_size) for path in parts
        }
        return Manifest(
            format=FORMAT,
            id=content_id(spec.name, schema_version, done.rows, done.columns),
            decision=spec.name,
            schema_version=schema_version,
            rows=done.rows,
            columns=done.columns,
            time_range=done.time_range,
            source=SourceInfo(name=data.name, sha256=_sha256(data), bytes=data.stat().st_size),
            created_at=self._clock.now().isoformat(timespec="microseconds"),
            ignored=done.ignored,
            files=files,
        )

    def _kept(self, folder: Path, partial: Path, manifest: Manifest) -> Snapshot:
        """The folder takes its name in one step. One that is there already stays as it is, but
        for a broken one, which is what `put` is asked to mend."""
        final = folder / manifest.id
        try:
            found = self._open(final)
            found.verify()
            return found
        except CorruptArtifact:
            _write_down(partial / MANIFEST, manifest)
            if final.exists():
                aside = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder))
                os.replace(final, aside)
                shutil.rmtree(aside)
        try:
            os.replace(partial, final)
            _settle(folder)
        except OSError:
            if not (final / MANIFEST).exists():  # else another process made the very same
                raise
        return self._open(final)

    def _open(self, folder: Path) -> Snapshot:
        try:
            content = json.loads((folder / MANIFEST).read_text("utf-8"))
            manifest = Manifest.from_dict(content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise corrupt(folder.name, "its manifest was changed") from error
        if manifest.id != folder.name:
            raise corrupt(folder.name, "it lies under another id")
        return Snapshot(manifest=manifest, folder=folder)

    def _ids(self, tenant_id: str) -> Sequence[str]:
        folder = self._folder(tenant_id)
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))

    def _folder(self, tenant_id: str) -> Path:
        if not _TENANT.match(tenant_id):
            raise ValueError(f"no tenant id: {tenant_id!r}")
        return self._root / tenant_id


def _sweep(folder: Path) -> None:
    """What a killed import left; nobody else reads it."""
    for path in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                shutil.rmtree(path)


def _settle(path: Path) -> None:
    """Down to the disk, so that no power cut leaves a name without its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_down(path: Path, manifest: Manifest) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(manifest.to_dict(), file, sort_keys=True, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    told = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            told.update(block)
    return told.hexdigest()


def _unwritable(folder: Path, error: OSError) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-SNAPSHOT-WRITE",
        f"the snapshot cannot be written under {folder} ({type(error).__name__})",
        way_out="See that the folder may be written and the disk has space.",
    )
