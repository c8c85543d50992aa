"""What a snapshot says of itself, and the id that the same content has on every machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1  # of the folder and of the id; a change of either is another number


@dataclass(frozen=True, kw_only=True)
class ColumnInfo:
    """`type` is that of decision.yaml, or documents (a list of texts); `nulls` counts rows."""

    type: str
    digest: str
    nulls: int


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """The file that the rows were read from."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class FileInfo:
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`source`, `created_at`, `ignored` and `files` are no part of the id.

    `time_range` is the first and last time in ISO 8601, UTC; None where rows have numbers only.
    `ignored` are columns of the table that decision.yaml does not declare: they were left out.
    """

    format: int
    id: str
    decision: str
    schema_version: str
    rows: int
    columns: Mapping[str, ColumnInfo]
    time_range: tuple[str, str] | None
    source: SourceInfo
    created_at: str
    ignored: tuple[str, ...]
    files: Mapping[str, FileInfo]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Manifest":
        """Raises KeyError, TypeError or ValueError where it is none, or its id does not fit."""
        low_high = content["time_range"]
        manifest = cls(
            **{
                **content,
                "columns": {n: ColumnInfo(**info) for n, info in content["columns"].items()},
                "time_range": None if low_high is None else (low_high[0], low_high[1]),
                "source": SourceInfo(**content["source"]),
                "ignored": tuple(content["ignored"]),
                "files": {n: FileInfo(**info) for n, info in content["files"].items()},
            }
        )
        if manifest.format != FORMAT or manifest.id != manifest.computed_id():
            raise ValueError("the id does not fit the content")
        return manifest

    def computed_id(self) -> str:
        return content_id(self.decision, self.schema_version, self.rows, self.columns)


def content_id(
    decision: str, schema_version: str, rows: int, columns: Mapping[str, ColumnInfo]
) -> str:
    """64 hexadecimal digits: the SHA-256 of names, types and digests of the columns.

    The schema version is part of it: the same cells under another null policy are other data.
    """
    return digest_of(
        {
            "format": FORMAT,
            "decision": decision,
            "schema_version": schema_version,
            "rows": rows,
            "columns": {name: [info.type, info.digest] for name, info in columns.items()},
        }
    )


def digest_of(content: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical JSON."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
