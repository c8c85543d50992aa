"""Every command speaks JSON as a schema says, and none loads what it does not need."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from typer.testing import CliRunner

from cli.commands.evaluate import RESERVED
from cli.main import app
from tests.schemas import SCHEMAS, faults
from tests.terminal import ROOT, environment

run = CliRunner().invoke
HEAVY = ("torch", "sklearn", "scipy", "lightgbm", "faiss", "litellm", "fastapi", "celery", "pandas")
SILENT = {("worker",), ("evaluate", "reserved")}  # these print no result, only errors
PARTS = {"evaluation", "error", "ladder-report"}  # of no command alone


def commands(of: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in getattr(of, "commands", {}).items():
        yield from commands(command, (*path, name))
    if not hasattr(of, "commands"):
        yield path, of


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_walk_finds_what_the_reference_lists() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    for path in set(COMMANDS) - {("evaluate", "reserved")}:
        word = " ".join(path).replace("evaluate decision", "evaluate SPEC")
        assert f"rung {word}" in page or f"| {path[-1]} " in page, path
        assert path in SILENT or f"schemas/{'-'.join(path)}.json" in page, path


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_speaks_json(path: tuple[str, ...]) -> None:
    options = [option for part in COMMANDS[path].params for option in part.opts]
    assert "--json" in options
    assert path in SILENT or "-".join(path) in SCHEMAS


def test_every_schema_is_one_and_belongs_to_a_command() -> None:
    assert set(SCHEMAS) == PARTS | {"-".join(path) for path in COMMANDS if path not in SILENT}
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_no_key_goes_without_saying(name: str) -> None:
    """An object either lists its keys, all others refused, or says what its values are."""

    def objects(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            if "object" in (part.get("type") or ()):
                yield part
            for inner in part.values():
                yield from objects(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from objects(inner)

    for found in objects(SCHEMAS[name]):
        closed = found.get("additionalProperties") is False
        keys, required = set(found.get("properties", ())), set(found.get("required", ()))
        told = "description" in found or "additionalProperties" in found
        assert (closed and keys and required <= keys) or (not keys and told), found


def test_a_schema_refuses_what_it_does_not_know() -> None:
    good = {"error": {"code": "RUNG-FILE-READ", "message": "m", "line": None, "way_out": "w"}}
    assert faults("error", good) == []
    assert faults("error", {"error": {**good["error"], "code": "RUNG-FILE"}})
    assert faults("error", {"error": {**good["error"], "trace": "x"}})
    assert faults("error", {})


@pytest.mark.parametrize("path", [(), *COMMANDS, ("evaluate",), ("key",)], ids=" ".join)
def test_help_of_every_command(path: tuple[str, ...]) -> None:
    result = run(app, [*path, "--help"])
    assert result.exit_code == 0 and "Usage" in result.output


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    """What is loaded is counted, not timed: a clock would tell more of the machine."""
    program = (
        "import sys\n"
        "from cli.main import app\n"
        "try:\n    app(sys.argv[1:])\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    for words in (["--help"], ["train", "--help"], ["evaluate", "router", "--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", program, *words],
            env=environment(tmp_path / "home"),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (ended.returncode, ended.stderr.strip()) == (0, "[]"), words
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("word", sorted(set(RESERVED) - {"router", "ranker"}))
def test_a_reserved_word_is_no_decision(word: str) -> None:
    result = run(app, ["evaluate", word, "--data", "rows.jsonl", "--whatever", "--json"])
    assert result.exit_code == 2
    refusal = json.loads(result.stdout)
    assert faults("error", refusal) == []
    assert refusal["error"]["code"] == "RUNG-COMMAND-RESERVED"
    assert word in refusal["error"]["message"]


@pytest.mark.parametrize("name", ["decision", "reserved", "routers"])
def test_any_other_word_is_a_decision(name: str, tmp_path: Path) -> None:
    env = {"RUNG_HOME": str(tmp_path / "home")}
    result = run(app, ["evaluate", name, "--data", "rows.jsonl", "--json"], env=env)
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-DECISION-UNKNOWN"


def test_what_init_makes_holds(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made = run(app, ["init", str(folder), "--json"])
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    assert faults("init", told) == []
    assert set(told["files"]) >= {"decision.yaml", "rules.yaml"}
    assert all((folder / name).is_file() for name in told["files"])
    checked = run(app, ["check", str(folder), "--json"])
    assert checked.exit_code == 0
    found = json.loads(checked.stdout)
    assert faults("check", found) == []
    assert found["failures"] == [] and found["cases"] and sum(found["corpora"].values())


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    result = run(app, ["init", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-FILE-WRITE"
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_the_life_of_a_key(tmp_path: Path) -> None:
    env = {"RUNG_HOME": str(tmp_path / "home")}

    def told(schema: str, *words: str) -> Any:
        result = run(app, ["key", *words, "--json"], env=env)
        assert result.exit_code == 0, result.output
        content = json.loads(result.stdout)
        assert faults(schema, content) == []
        return content

    assert told("key-list", "list") == {"keys": []}
    made = told("key-create", "create", "--scope", "read", "--scope", "decide", "--days", "3")
    assert made["scopes"] == ["decide", "read"] and made["expires_at"]
    (listed,) = told("key-list", "list")["keys"]
    assert listed["scopes"] == made["scopes"] and listed["revoked_at"] is None
    assert made["key"] not in json.dumps(listed)
    assert told("key-list", "list", "--tenant", "other") == {"keys": []}
    assert told("key-revoke", "revoke", "cli") == {"revoked": [listed["id"]]}
    assert told("key-list", "list")["keys"][0]["revoked_at"]
