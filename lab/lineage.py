"""What a version was made of, as digests: code, data, features, environment, evaluation.

A version whose parts cannot all be named can be looked at but not promoted: nobody could make it
again, or say what it was judged on.
"""

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core.contracts import Json
from core.errors import Conflict
from core.store.codec import from_text, rebuild, to_text
from lab.code_state import LOCK, ROOT, CodeState, read_code_state

__all__ = [
    "ROOT",
    "CodeState",
    "Difference",
    "Environment",
    "Lineage",
    "as_reasons",
    "differences",
    "digest_of",
    "digest_of_texts",
    "is_trial",
    "promotable",
    "read_code_state",
    "read_environment",
    "version_id",
]

# What computes the bytes of an artifact; the lock holds the rest. An embedder of RUNG_EMBEDDER runs
# on onnxruntime or on torch.
PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "onnxruntime", "torch", "pyarrow")
ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """`lock` is the SHA-256 of requirements.lock; None where it does not lie beside the code."""

    lock: str | None
    python: str
    machine: str
    packages: Mapping[str, str]

    @property
    def digest(self) -> str:
        return digest_of(from_text(to_text(self)))


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Digests are SHA-256 in hexadecimal; None is what nobody knows.

    `snapshot` is an id, `features` of the feature schema, `spec` of what the owner wrote, `indexes`
    artifact ids by corpus, `evaluation` of evaluation.json. `parameters` is whatever training was
    told.
    """

    code: CodeState | None
    snapshot: str | None
    features: str
    spec: str
    environment: Environment
    evaluation: str | None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        told: dict[str, Json] = from_text(to_text(self))
        return told

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Lineage":
        return rebuild(cls, told)

    @property
    def digest(self) -> str:
        return digest_of(self.to_json())


def version_id(lineage: Lineage, artifact: str) -> str:
    """64 hexadecimal digits: the same thing made of the same things has the same id."""
    return digest_of({"lineage": lineage.to_json(), "artifact": artifact})


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`part` is a path such as environment.packages.numpy; None is what one side does not have."""

    part: str
    a: Json
    b: Json


def differences(a: Lineage, b: Lineage) -> tuple[Difference, ...]:
    """Part by part, in alphabetical order; empty where both were made of the same."""
    left, right = dict(_leaves("", a.to_json())), dict(_leaves("", b.to_json()))
    return tuple(
        Difference(part=part, a=left.get(part), b=right.get(part))
        for part in sorted({*left, *right})
        if left.get(part) != right.get(part)
    )


def _leaves(path: str, content: Json) -> Iterator[tuple[str, Json]]:
    if not isinstance(content, dict):
        yield path, content
        return
    for name, inner in content.items():
        yield from _leaves(f"{path}.{name}" if path else name, inner)


def digest_of(content: Json) -> str:
    """SHA-256 of canonical JSON: keys in order, no spaces, ASCII. Raises ValueError for NaN."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_texts(texts: Mapping[str, str]) -> str:
    """Of decision.yaml, rules and prompts by name, in whatever order they come."""
    return digest_of(dict(texts))


def read_environment(root: Path) -> Environment:
    """Of this process; `root` is the folder of the rooms."""
    lock = root / LOCK
    return Environment(
        lock=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        python=platform.python_version(),
        machine=platform.machine(),
        packages={name: _installed(name) for name in PACKAGES},
    )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ABSENT


def promotable(lineage: Lineage, *, allow_dirty: bool = False) -> list[Conflict]:
    """What is in the way of going live, each with its way out; empty where nothing is.

    `allow_dirty` is RUNG_ALLOW_DIRTY: it lets code in that is dirty or of no known commit, and
    nothing else. Whoever uses it marks the version as a trial where `is_trial` says so.
    """
    found = [] if allow_dirty and lineage.code is not None else _of_code(lineage.code)
    if lineage.snapshot is None:
        found.append(
            Conflict(
                "RUNG-LINEAGE-SNAPSHOT",
                "the version does not say which data it was trained on",
                way_out="Train it on a snapshot: `rung snapshot SPEC DATA` makes one.",
            )
        )
    if lineage.evaluation is None:
        found.append(
            Conflict(
                "RUNG-LINEAGE-EVALUATION",
                "the version was not evaluated",
                way_out="Train it with `rung train`, which judges what it makes on test rows.",
            )
        )
    return found


def is_trial(lineage: Lineage) -> bool:
    """Whether it can be promoted in a home for trials only."""
    return bool(_of_code(lineage.code))


def as_reasons(found: list[Conflict]) -> tuple[Mapping[str, str], ...]:
    """As a refused version keeps them."""
    return tuple(
        {"code": one.code, "message": one.message, "way_out": one.way_out} for one in found
    )


def _of_code(code: CodeState | None) -> list[Conflict]:
    if code is None or code.revision is None:
        return [
            Conflict(
                "RUNG-CODE-UNKNOWN",
                "nobody can say which commit the code is",
                way_out="Run from a git repository, set RUNG_CODE_REVISION to the commit, or set "
                "RUNG_ALLOW_DIRTY=1 in a home that is for trying out.",
            )
        ]
    if code.dirty:
        shown = ", ".join(code.changed[:3]) + (", ..." if len(code.changed) > 3 else "")
        return [
            Conflict(
                "RUNG-CODE-DIRTY",
                f"{len(code.changed)} file(s) of the code are not committed: {shown}",
                way_out="Commit them and train again, or set RUNG_ALLOW_DIRTY=1 in a home that is "
                "for trying out.",
            )
        ]
    return []
