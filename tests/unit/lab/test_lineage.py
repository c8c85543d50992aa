"""Lineage names all that a version was made of; what it cannot name is not promoted."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from lab.lineage import (
    ROOT,
    CodeState,
    Environment,
    Lineage,
    as_reasons,
    differences,
    digest_of,
    digest_of_texts,
    is_trial,
    promotable,
    read_code_state,
    read_environment,
    version_id,
)

REVISION = "0123456789abcdef0123456789abcdef01234567"
CODE = CodeState(source_digest="c" * 64, revision=REVISION, dirty=False)
ENVIRONMENT = Environment(lock="e" * 64, python="3.11.9", machine="x86_64", packages={"numpy": "2"})
LINEAGE = Lineage(
    code=CODE,
    snapshot="s" * 64,
    features="f" * 64,
    spec="d" * 64,
    environment=ENVIRONMENT,
    evaluation="v" * 64,
    parameters={"seed": 3, "split": "temporal", "only": None, "shares": [0.6, 0.2], "of": {"a": 1}},
    indexes={"corpus": "i" * 64},
)


def settings(tmp_path: Path, **given: str) -> Settings:
    return Settings.from_environment({"RUNG_HOME": str(tmp_path / "home"), **given})


def git(root: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *who, "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with two rooms, in no repository."""
    made = tmp_path / "code"
    for name, content in {
        "core/a.py": "A = 1\n",
        "lab/deep/b.py": "B = 1\n",
        "docs/c.py": "C = 1\n",
        "requirements.lock": "numpy==2\n",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(content)
    return made


@pytest.fixture
def committed(root: Path) -> Path:
    (root / ".gitignore").write_text("__pycache__/\n.venv/\n*_local.py\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


# --- lineage


def test_what_is_written_is_read(tmp_path: Path) -> None:
    told = json.loads(json.dumps(LINEAGE.to_json()))
    assert Lineage.from_json(told) == LINEAGE
    nothing = replace(LINEAGE, code=None, snapshot=None, evaluation=None)
    assert Lineage.from_json(nothing.to_json()) == nothing


def test_digests_are_of_the_content_and_not_of_its_order() -> None:
    turned = replace(LINEAGE, parameters=dict(reversed(list(LINEAGE.parameters.items()))))
    assert turned.digest == LINEAGE.digest
    assert digest_of_texts({"a": "1", "b": "2"}) == digest_of_texts({"b": "2", "a": "1"})
    assert digest_of_texts({"a": "1", "b": "2"}) != digest_of_texts({"a": "2", "b": "1"})
    text = b'{"a":[1,null],"b":"\\u00e9"}'
    assert digest_of({"b": "é", "a": [1, None]}) == hashlib.sha256(text).hexdigest()
    with pytest.raises(ValueError):
        digest_of(float("nan"))


def test_every_part_changes_the_version() -> None:
    others = [
        replace(LINEAGE, code=replace(CODE, source_digest="0" * 64)),
        replace(LINEAGE, code=None),
        replace(LINEAGE, snapshot="0"),
        replace(LINEAGE, features="0"),
        replace(LINEAGE, spec="0"),
        replace(LINEAGE, environment=replace(ENVIRONMENT, packages={"numpy": "3"})),
        replace(LINEAGE, evaluation="0"),
        replace(LINEAGE, parameters={"seed": 4}),
        replace(LINEAGE, indexes={}),
    ]
    ids = {version_id(one, "artifact") for one in [LINEAGE, *others]}
    assert len(ids) == 10 and all(len(one) == 64 for one in ids)
    assert version_id(LINEAGE, "another") not in ids
    assert version_id(LINEAGE, "artifact") == digest_of(
        {"artifact": "artifact", "lineage": LINEAGE.to_json()}
    )


def test_differences_name_the_part() -> None:
    assert differences(LINEAGE, LINEAGE) == ()
    other = replace(
        LINEAGE,
        environment=replace(ENVIRONMENT, packages={"numpy": "3", "torch": "2"}),
        parameters={**LINEAGE.parameters, "of": {"a": 2}},
    )
    assert [(one.part, one.a, one.b) for one in differences(LINEAGE, other)] == [
        ("environment.packages.numpy", "2", "3"),
        ("environment.packages.torch", None, "2"),
        ("parameters.of.a", 1, 2),
    ]


# --- promotion


def test_what_can_be_named_can_be_promoted() -> None:
    assert promotable(LINEAGE) == [] and not is_trial(LINEAGE)


@pytest.mark.parametrize(
    ("lineage", "code"),
    [
        (replace(LINEAGE, code=None), "RUNG-CODE-UNKNOWN"),
        (replace(LINEAGE, code=replace(CODE, revision=None)), "RUNG-CODE-UNKNOWN"),
        (replace(LINEAGE, code=replace(CODE, dirty=True, changed=("a",))), "RUNG-CODE-DIRTY"),
        (replace(LINEAGE, snapshot=None), "RUNG-LINEAGE-SNAPSHOT"),
        (replace(LINEAGE, evaluation=None), "RUNG-LINEAGE-EVALUATION"),
    ],
)
def test_what_cannot_be_named_cannot(lineage: Lineage, code: str) -> None:
    [reason] = promotable(lineage)
    assert reason.code == code and reason.way_out
    assert as_reasons([reason]) == (
        {"code": code, "message": reason.message, "way_out": reason.way_out},
    )


def test_a_home_for_trials_lets_dirty_code_in_and_nothing_else() -> None:
    dirty = replace(LINEAGE, code=replace(CODE, dirty=True, changed=("core/a.py",)))
    unknown = replace(LINEAGE, code=replace(CODE, revision=None))
    for lineage in (dirty, unknown):
        assert promotable(lineage, allow_dirty=True) == [] and is_trial(lineage)
    for lineage in (
        replace(dirty, code=None),
        replace(dirty, snapshot=None),
        replace(dirty, evaluation=None),
    ):
        assert len(promotable(lineage, allow_dirty=True)) == 1
    assert len(promotable(replace(dirty, snapshot=None, evaluation=None))) == 3


# --- code


def test_without_git_the_commit_is_unknown_unless_it_is_told(root: Path, tmp_path: Path) -> None:
    state = read_code_state(root, settings(tmp_path))
    assert (state.revision, state.dirty, state.changed) == (None, False, ())
    told = read_code_state(root, settings(tmp_path, RUNG_CODE_REVISION=REVISION))
    assert told == replace(state, revision=REVISION)


def test_the_digest_is_of_the_rooms_and_the_lock(root: Path, tmp_path: Path) -> None:
    def digest() -> str:
        return read_code_state(root, settings(tmp_path)).source_digest

    whole = hashlib.sha256()
    for name in ("core/a.py", "lab/deep/b.py", "requirements.lock"):
        content = (root / name).read_bytes()
        whole.update(name.encode() + b"\0" + str(len(content)).encode() + b"\0" + content)
    first = digest()
    assert first == whole.hexdigest()
    (root / "docs/c.py").write_text("C = 2\n")
    (root / "core/__pycache__").mkdir()
    (root / "core/__pycache__/a.pyc").write_bytes(b"x")
    assert digest() == first
    for name in ("core/a.py", "lab/deep/b.py", "requirements.lock", "api/new.py"):
        before = digest()
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("changed\n")
        assert digest() != before


def test_what_is_committed_is_clean(committed: Path, tmp_path: Path) -> None:
    head = git(committed, "rev-parse", "HEAD")
    (committed / "docs/c.py").write_text("C = 2\n")  # no room
    (committed / "core/__pycache__").mkdir()
    (committed / "core/__pycache__/a.pyc").write_bytes(b"x")
    (committed / ".venv").mkdir()
    (committed / ".venv/x.py").write_text("X = 1\n")
    state = read_code_state(committed, settings(tmp_path, RUNG_CODE_REVISION=REVISION))
    assert (state.revision, state.dirty, state.changed) == (head, False, ())


@pytest.mark.parametrize("name", ["core/a.py", "requirements.lock", "lab/new é.py", "lab/p.txt"])
def test_what_is_not_committed_is_dirty(committed: Path, tmp_path: Path, name: str) -> None:
    (committed / name).write_text("changed = 1\n")
    state = read_code_state(committed, settings(tmp_path))
    assert state.dirty and state.changed == (name,)
    git(committed, "add", ".")
    assert read_code_state(committed, settings(tmp_path)).changed == (name,)
    git(committed, "commit", "-q", "-m", "second")
    assert not read_code_state(committed, settings(tmp_path)).dirty


def test_what_was_deleted_or_is_hidden_from_git_is_dirty(committed: Path, tmp_path: Path) -> None:
    (committed / "core/a.py").unlink()
    (committed / "lab/mine_local.py").write_text("HIDDEN = 1\n")  # ignored, and still imported
    state = read_code_state(committed, settings(tmp_path))
    assert state.changed == ("core/a.py", "lab/mine_local.py")


def test_a_repository_around_an_installation_says_nothing_of_it(
    committed: Path, tmp_path: Path
) -> None:
    installed = committed / ".venv/lib"
    (installed / "core").mkdir(parents=True)
    (installed / "core/a.py").write_text("A = 1\n")
    state = read_code_state(installed, settings(tmp_path))
    assert (state.revision, state.dirty) == (None, False)


def test_code_below_the_top_of_its_repository_is_known(committed: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (committed / ".git").rename(tmp_path / "old_git")
    below = committed.rename(top / "below")
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    assert read_code_state(below, settings(tmp_path)).changed == ()
    (below / "core/a.py").write_text("A = 2\n")
    assert read_code_state(below, settings(tmp_path)).changed == ("core/a.py",)


def test_a_hooks_environment_names_no_other_repository(
    committed: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    state = read_code_state(committed, settings(tmp_path))
    monkeypatch.delenv("GIT_DIR")
    assert state.revision == git(committed, "rev-parse", "HEAD")


def test_where_git_is_not_installed_the_commit_is_unknown(
    committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_code_state(committed, settings(tmp_path)).revision is None


# --- environment


def test_the_environment_is_this_one() -> None:
    import numpy

    read = read_environment(ROOT)
    assert read.packages["numpy"] == numpy.__version__
    assert read.python == ".".join(map(str, sys.version_info[:3]))
    assert read.lock == hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    assert read.digest == read_environment(ROOT).digest
    assert read_environment(ROOT / "lab").lock is None
