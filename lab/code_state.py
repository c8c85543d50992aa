"""Which code is running: a digest of its files, and the commit that git or the operator names."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from core.settings import Settings

ROOMS = ("api", "cli", "core", "lab", "llm", "rankers", "router", "rules", "workers")
LOCK = "requirements.lock"
ROOT = Path(__file__).resolve().parents[1]  # the folder that the rooms lie in
WATCHED = (*ROOMS, LOCK, "pyproject.toml")
GIT_PATIENCE_S = 30


@dataclass(frozen=True, kw_only=True)
class CodeState:
    """`revision` is None where it is unknown; `changed` are the paths that are not as committed."""

    source_digest: str
    revision: str | None
    dirty: bool
    changed: tuple[str, ...] = ()


def read_code_state(root: Path, settings: Settings) -> CodeState:
    """Of the rooms under `root`. Only where git knows nothing of them is the setting read."""
    files = _source_files(root)
    digest = _digest(root, files)
    revision = "".join(_git(root, "rev-parse", "HEAD")).strip()
    tracked = _git(root, "ls-files", "-z", "--", *WATCHED)
    # A repository that merely surrounds the folder (of an ignored .venv, say) tracks none of it.
    if not revision or not tracked.intersection(files):
        return CodeState(source_digest=digest, revision=settings.code_revision, dirty=False)
    changed = set(files) - tracked  # even where .gitignore hides them: they are run
    changed |= _git(root, "diff", "HEAD", "--name-only", "--relative", "-z", "--", *WATCHED)
    changed |= _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *WATCHED)
    changed = {path for path in changed if "__pycache__/" not in path}
    return CodeState(
        source_digest=digest, revision=revision, dirty=bool(changed), changed=tuple(sorted(changed))
    )


def _source_files(root: Path) -> list[str]:
    """POSIX paths of what is hashed, in sorted order."""
    found = [
        path.relative_to(root).as_posix()
        for room in ROOMS
        for path in (root / room).rglob("*.py")
        if path.is_file()
    ]
    return sorted([*found, *([LOCK] if (root / LOCK).is_file() else [])])


def _digest(root: Path, files: list[str]) -> str:
    """Each file as name, size and content, so that no two sets of files read alike."""
    whole = hashlib.sha256()
    for name in files:
        content = (root / name).read_bytes()
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()


def _git(root: Path, *words: str) -> set[str]:
    """What it names, separated by NUL; empty where there is no git or no repository."""
    # A hook's GIT_DIR would name another repository. No lock is taken: others may work here.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    try:
        ended = subprocess.run(command, env=env, capture_output=True, timeout=GIT_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    if ended.returncode != 0:
        return set()
    return set(filter(None, ended.stdout.decode("utf-8", "surrogateescape").split("\0")))
