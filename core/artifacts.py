"""Files of models by digest: what comes out is, byte for byte, what was put in.

    <root>/<tenant>/blobs/<two letters>/<sha256>     each file once
    <root>/<tenant>/manifests/<id>.json              kind, meta and the digest of each file
    <root>/<tenant>/database                         whose rows name what lies here

The id is the SHA-256 of the manifest's canonical JSON. Parsers of model files crash or answer
wrongly on changed bytes, so every digest is verified before a byte is handed out. With a key the
manifest is signed too (HMAC-SHA256): whoever can write the folder can still not make an artifact.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.contracts import Json
from core.errors import CorruptArtifact, ForeignArtifact, NotFound, RungError, Unavailable
from core.whole_file import settle, write_whole

FORMAT = 1
DATABASE = "database"
_ID = re.compile(r"[0-9a-f]{64}\Z")
_SIGNATURE = re.compile(rb"[0-9a-f]{64}\Z")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*\Z")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    id: str
    kind: str
    meta: Mapping[str, Json]
    files: Mapping[str, bytes]


def under(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    """The files of one part, without its folder."""
    start = f"{folder}/"
    return {name[len(start) :]: file for name, file in files.items() if name.startswith(start)}


@contextmanager
def _reached() -> Iterator[None]:
    """A share that does not answer, a right that lacks, a full disk."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "RUNG-ARTIFACT-READ",
            f"the artifacts' folder cannot be used ({error.strerror or type(error).__name__})",
            way_out="Look at the disk or share that RUNG_HOME is on, and at this process's rights.",
        ) from error


@contextmanager
def _told_apart(missing: RungError) -> Iterator[None]:
    """What is not there from what cannot be reached."""
    with _reached():
        try:
            yield
        except FileNotFoundError as error:
            raise missing from error


class ArtifactStore:
    def __init__(self, root: Path, key: bytes | None = None) -> None:
        self._root = root
        self._key = key

    def put(
        self,
        tenant_id: str,
        kind: str,
        files: Mapping[str, bytes],
        meta: Mapping[str, Json] | None = None,
    ) -> str:
        """The id. The manifest is written last: an artifact is whole or absent."""
        folder = self._folder(tenant_id)
        listed = {}
        for name in sorted(files):
            if not _NAME.match(name):
                raise ValueError(f"no name for a file of an artifact: {name!r}")
            digest = hashlib.sha256(files[name]).hexdigest()
            listed[name] = {"sha256": digest, "bytes": len(files[name])}
            _write_once(folder / "blobs" / digest[:2] / digest, files[name])
        manifest = _canonical({"format": FORMAT, "kind": kind, "meta": meta or {}, "files": listed})
        artifact_id = hashlib.sha256(manifest).hexdigest()
        if self._key is not None:
            _write_once(folder / "manifests" / f"{artifact_id}.sig", self._signature(manifest))
        _write_once(folder / "manifests" / f"{artifact_id}.json", manifest)
        return artifact_id

    def get(
        self, tenant_id: str, artifact_id: str, kind: str, *, only: Collection[str] | None = None
    ) -> Artifact:
        """Whole, or with no other files than `only`. Raises NotFound, CorruptArtifact where
        anything that is read differs from what was put, ForeignArtifact where another key signed
        it, and Unavailable where the folder cannot be read now."""
        if not _ID.match(artifact_id):
            raise NotFound(
                "RUNG-ARTIFACT-UNKNOWN",
                "an artifact is named by 64 hexadecimal digits",
                way_out="Take the id that training printed.",
            )
        folder = self._folder(tenant_id)
        manifest = _read(
            folder / "manifests" / f"{artifact_id}.json", missing=_unknown(artifact_id)
        )
        if hashlib.sha256(manifest).hexdigest() != artifact_id:
            raise _corrupt(artifact_id, "its manifest was changed")
        self._verify_signature(folder, artifact_id, manifest)
        content = json.loads(manifest)
        if content["format"] != FORMAT or content["kind"] != kind:
            raise _corrupt(artifact_id, f"it is no {kind} of format {FORMAT}")
        files = {}
        for name, entry in content["files"].items():
            if only is not None and name not in only:
                continue
            files[name] = _read(
                folder / "blobs" / entry["sha256"][:2] / entry["sha256"],
                missing=_corrupt(artifact_id, f"{name} is missing"),
            )
            if hashlib.sha256(files[name]).hexdigest() != entry["sha256"]:
                raise _corrupt(artifact_id, f"{name} was changed")
        return Artifact(id=artifact_id, kind=kind, meta=content["meta"], files=files)

    def keep(self, tenant_id: str, artifact_id: str) -> None:
        """Its age starts anew, for whoever is about to name it in a row. Raises NotFound, and
        Unavailable where the folder cannot be written to now."""
        with _told_apart(_unknown(artifact_id)):
            os.utime(self._folder(tenant_id) / "manifests" / f"{artifact_id}.json")

    @_reached()
    def tenants(self) -> tuple[str, ...]:
        """Whoever has a folder here. Raises Unavailable."""
        if not self._root.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._root.iterdir() if _is_tenant(path)))

    @_reached()
    def belongs_to(self, tenant_id: str, database: str, *, named: Collection[str]) -> bool | None:
        """Whether the rows of that database name what lies here. None where nothing tells: a folder
        is that database's which first asks with a `named` artifact that lies in it. Another one's
        rows know nothing of the folder, and would have all of it swept. Raises Unavailable."""
        folder = self._folder(tenant_id)
        marked = folder / DATABASE
        if not marked.exists():
            if not any((folder / "manifests" / f"{one}.json").exists() for one in named):
                return None
            write_whole(marked, database.encode())
        return marked.read_bytes() == database.encode()

    @_reached()
    def sweep(self, tenant_id: str, kind: str, *, named: Collection[str], before: datetime) -> int:
        """Removes, of what was last put or kept before that moment, the artifacts of this kind
        that are not `named`, then the files that no artifact holds, and what killed writers left.

        Each manifest first, so that no artifact is ever found without its files. Whoever names an
        artifact in a row has put or kept it shortly before, so what is about to be named stays.
        Returns how many artifacts are gone. Raises Unavailable, and CorruptArtifact, removing
        nothing, where a manifest does not say what it holds.
        """
        folder, oldest = self._folder(tenant_id), before.timestamp()
        told = {path: _told(path) for path in (folder / "manifests").glob("*.json")}
        gone = {
            path
            for path, (of_kind, _) in told.items()
            if of_kind == kind and path.stem not in named and _remove_old(path, oldest)
        }
        held = set().union(*(blobs for path, (_, blobs) in told.items() if path not in gone))
        for blob in (folder / "blobs").glob("*/*"):
            if blob.name not in held:
                _remove_old(blob, oldest)
        for path in (folder / "manifests").iterdir() if told else ():
            if not path.with_suffix(".json").exists():  # a signature, or a manifest half written
                _remove_old(path, oldest)
        return len(gone)

    def _folder(self, tenant_id: str) -> Path:
        if not _TENANT.match(tenant_id):
            raise ValueError(f"no tenant id: {tenant_id!r}")
        return self._root / tenant_id

    def _signature(self, manifest: bytes) -> bytes:
        return hmac.new(self._key or b"", manifest, hashlib.sha256).hexdigest().encode()

    def _verify_signature(self, folder: Path, artifact_id: str, manifest: bytes) -> None:
        if self._key is None:
            return
        broken = _corrupt(artifact_id, "its signature is none")  # whoever has a key leaves one
        signature = _read(folder / "manifests" / f"{artifact_id}.sig", missing=broken)
        if not _SIGNATURE.match(signature):
            raise broken
        if not hmac.compare_digest(signature, self._signature(manifest)):
            raise ForeignArtifact(
                "RUNG-ARTIFACT-SIGNATURE",
                f"artifact {artifact_id[:12]} was signed with another key",
                way_out="Give every process the RUNG_SECRET it was made with, or make it again.",
            )


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def _corrupt(artifact_id: str, why: str) -> CorruptArtifact:
    return CorruptArtifact(
        "RUNG-ARTIFACT-CORRUPT",
        f"artifact {artifact_id[:12]} is not what was stored: {why}",
        way_out="Train again, or restore the artifacts' folder from a copy.",
    )


def _unknown(artifact_id: str) -> NotFound:
    return NotFound(
        "RUNG-ARTIFACT-UNKNOWN",
        f"there is no artifact {artifact_id[:12]}",
        way_out="Train the decision again, or restore the artifacts' folder.",
    )


def _read(path: Path, *, missing: RungError) -> bytes:
    with _told_apart(missing):
        return path.read_bytes()


def _is_tenant(path: Path) -> bool:
    return path.is_dir() and _TENANT.match(path.name) is not None


def _told(manifest: Path) -> tuple[str, set[str]]:
    """Its kind, and the digests of its files; not verified."""
    try:
        content = json.loads(_read(manifest, missing=_unknown(manifest.stem)))
        return content["kind"], {entry["sha256"] for entry in content["files"].values()}
    except NotFound:
        return "", set()  # removed by another process just now
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(manifest.stem, "its manifest was changed") from error


def _remove_old(path: Path, oldest: float) -> bool:
    """Looks again at the last moment: it may just have been asked for."""
    try:
        if path.stat().st_mtime > oldest:
            return False
        path.unlink()
    except FileNotFoundError:
        return False  # by another process
    return True


def _write_once(path: Path, content: bytes) -> None:
    """Whole or not at all; a file that already holds this content stays, and its age starts
    anew."""
    try:
        if path.read_bytes() == content:
            os.utime(path)
            settle(path.parent)  # whoever wrote it may have died before that
            return
    except FileNotFoundError:
        pass
    write_whole(path, content)
