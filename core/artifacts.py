"""Files of models by digest: what comes out is, byte for byte, what was put in.

    <root>/<tenant>/blobs/<two letters>/<sha256>     each file once
    <root>/<tenant>/manifests/<id>.json              kind, meta and the digest of each file

The id is the SHA-256 of the manifest's canonical JSON. Parsers of model files crash or answer
wrongly on changed bytes, so every digest is verified before a byte is handed out. With a key the
manifest is signed too (HMAC-SHA256): whoever can write the folder can still not make an artifact.
"""

import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.contracts import Json
from core.errors import CorruptArtifact, NotFound
from core.whole_file import write_whole

FORMAT = 1
FRESH_S = 3600.0  # between the first file of an artifact and its manifest lie seconds
_ID = re.compile(r"[0-9a-f]{64}\Z")
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

    def get(self, tenant_id: str, artifact_id: str, kind: str) -> Artifact:
        """Raises NotFound, or CorruptArtifact where anything differs from what was put."""
        if not _ID.match(artifact_id):
            raise NotFound(
                "RUNG-ARTIFACT-UNKNOWN",
                "an artifact is named by 64 hexadecimal digits",
                way_out="Take the id that training printed.",
            )
        folder = self._folder(tenant_id)
        try:
            manifest = (folder / "manifests" / f"{artifact_id}.json").read_bytes()
        except OSError as error:
            raise NotFound(
                "RUNG-ARTIFACT-UNKNOWN",
                f"there is no artifact {artifact_id[:12]}",
                way_out="Train the decision again, or restore the artifacts' folder.",
            ) from error
        if hashlib.sha256(manifest).hexdigest() != artifact_id:
            raise _corrupt(artifact_id, "its manifest was changed")
        self._verify_signature(folder, artifact_id, manifest)
        content = json.loads(manifest)
        if content["format"] != FORMAT or content["kind"] != kind:
            raise _corrupt(artifact_id, f"it is no {kind} of format {FORMAT}")
        files = {}
        for name, entry in content["files"].items():
            try:
                files[name] = (
                    folder / "blobs" / entry["sha256"][:2] / entry["sha256"]
                ).read_bytes()
            except OSError as error:
                raise _corrupt(artifact_id, f"{name} is missing") from error
            if hashlib.sha256(files[name]).hexdigest() != entry["sha256"]:
                raise _corrupt(artifact_id, f"{name} was changed")
        return Artifact(id=artifact_id, kind=kind, meta=content["meta"], files=files)

    def remove(self, tenant_id: str, artifact_ids: Collection[str]) -> int:
        """Each manifest first, so that no artifact is ever found without its files; then those
        files that no other artifact holds. What was stored, also again, within FRESH_S stays.
        Returns how many artifacts are gone."""
        folder = self._folder(tenant_id)
        gone = [folder / "manifests" / f"{name}.json" for name in artifact_ids if _ID.match(name)]
        gone = [path for path in gone if path.exists() and _is_settled(path)]
        held = set().union(*map(_blobs, gone))
        for path in gone:
            path.unlink(missing_ok=True)
            path.with_suffix(".sig").unlink(missing_ok=True)
        if held:
            held -= set().union(*map(_blobs, (folder / "manifests").glob("*.json")))
        for digest in sorted(held):
            blob = folder / "blobs" / digest[:2] / digest
            if blob.exists() and _is_settled(blob):
                blob.unlink(missing_ok=True)
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
        try:
            signature = (folder / "manifests" / f"{artifact_id}.sig").read_bytes()
        except OSError:
            signature = b""
        if not hmac.compare_digest(signature, self._signature(manifest)):
            raise _corrupt(artifact_id, "its signature does not fit the configured key")


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


def _blobs(manifest: Path) -> set[str]:
    try:
        return {entry["sha256"] for entry in json.loads(manifest.read_bytes())["files"].values()}
    except FileNotFoundError:
        return set()  # removed by another process just now


def _is_settled(path: Path) -> bool:
    """What was just asked to be there may belong to a manifest, or a row, that is not yet."""
    return time.time() - path.stat().st_mtime > FRESH_S


def _write_once(path: Path, content: bytes) -> None:
    """Whole or not at all; a file that already holds this content stays, and is fresh again."""
    if path.exists() and path.read_bytes() == content:
        os.utime(path)
        return
    write_whole(path, content)
