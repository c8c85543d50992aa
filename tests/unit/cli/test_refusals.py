"""Bad input from a terminal: exit code 2, a stable code, the way out, and nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.schemas import faults
from tests.terminal import EXAMPLE, TEMPLATE

ROW = {"message": "hello", "occurred_at": "2026-01-01T10:00:00+00:00", "amount": 12.5}
LABELS = {"intent": "question", "truth": "answer", "documents": ["opening_hours"]}


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a command that must be refused, and returns its error."""
    env = {"RUNG_HOME": str(tmp_path / "home")}

    def run(*words: object) -> dict[str, Any]:
        result = CliRunner().invoke(app, [*map(str, words), "--json"], env=env)
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)  # anything else is a traceback
        refusal = json.loads(result.stdout)
        assert faults("error", refusal) == []
        readable = CliRunner().invoke(app, [*map(str, words)], env=env)
        assert readable.exit_code == 2 and readable.stdout == ""
        assert refusal["error"]["code"] in readable.stderr
        error: dict[str, Any] = refusal["error"]
        return error

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATE, tmp_path / "mine")


def written(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def broken(path: Path, old: str, new: str) -> int:
    """The line of the one place where `old` became `new`."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    return text[: text.index(old)].count("\n") + 1


# --- decisions


@pytest.mark.parametrize("name", ["nope", "no such name", "../etc", "n\u00f6"])
def test_an_unknown_decision(refused: Any, tmp_path: Path, name: str) -> None:
    facts = written(tmp_path / "facts.jsonl", [ROW])
    assert refused("decide", name, "--facts", facts)["code"] == "RUNG-DECISION-UNKNOWN"
    assert refused("evaluate", name, "--data", facts)["code"] == "RUNG-DECISION-UNKNOWN"


def test_a_decision_that_was_never_trained(refused: Any, folder: Path, tmp_path: Path) -> None:
    facts = written(tmp_path / "facts.jsonl", [ROW])
    for words in (
        ["decide", folder, "--facts", facts],
        ["evaluate", folder, "--data", facts],
        ["bench", "decide", "--spec", folder],
    ):
        error = refused(*words)
        assert error["code"] == "RUNG-DECISION-UNKNOWN"
        assert "rung train" in error["way_out"]


def test_decisions_in_postgresql_are_not_measured(folder: Path, tmp_path: Path) -> None:
    """The server is not even asked: nobody listens there."""
    env = {
        "RUNG_HOME": str(tmp_path / "home"),
        "RUNG_DATABASE_URL": "postgresql://rung@127.0.0.1:1/production",
    }
    words = ["bench", "decide", "--spec", str(folder), "--json"]
    result = CliRunner().invoke(app, words, env=env)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-BENCH-DATABASE"


@pytest.mark.parametrize("command", ["check", "embed", "train"])
def test_a_folder_that_is_not_there(refused: Any, tmp_path: Path, command: str) -> None:
    data = ["--data", tmp_path / "rows.jsonl"] if command == "train" else []
    # A bare name is read as a rule file by check, which cannot be read either.
    assert refused(command, tmp_path / "absent", *data)["code"] == "RUNG-FILE-READ"


MALFORMED = [
    ("  error: 10", "  error: ten"),
    ("  error: 10", "  error: .nan"),
    ("  horizon_days: 30", "  horizon_days: -1"),
    ("  owner: the support team", "  owner: *nobody"),
    ("  kpi: {name", "  kpi: {nmae"),
    ("type: number", "type: numeral"),
    ("name: my_decision", "name: My Decision"),
    ('version: "1"', 'version: "1"\nversion: "1"'),
    ("budgets:", "budget_s: {}\nbudgets:"),
]


@pytest.mark.parametrize(("old", "new"), MALFORMED)
def test_a_malformed_decision_names_its_line(
    refused: Any, folder: Path, old: str, new: str
) -> None:
    line = broken(folder / "decision.yaml", old, new)
    error = refused("check", folder)
    assert error["code"] in ("RUNG-YAML-SYNTAX", "RUNG-YAML-CONTENT", "RUNG-YAML-ALIAS")
    assert error["line"] == line + (new.startswith("version"))  # the second one is one too many


def test_an_outcome_that_is_none(refused: Any, folder: Path) -> None:
    broken(folder / "decision.yaml", "outcome: refund}", "outcome: refunds}")
    error = refused("check", folder)
    assert error["code"] == "RUNG-YAML-CONTENT"
    assert "wants_refund" in error["message"] and "refunds" in error["message"]


def test_rules_that_do_not_fit_the_decision(refused: Any, folder: Path) -> None:
    rules = folder / "rules.yaml"
    original = rules.read_text("utf-8")
    rules.write_text(original.replace("outcome: escalate", "outcome: escalated"), "utf-8")
    assert refused("check", folder)["code"] == "RUNG-RULES-OUTCOME"
    rules.write_text(original.replace("field: amount", "field: amonut"), "utf-8")
    assert refused("check", folder)["code"] == "RUNG-RULES-FIELD"


def test_two_documents_of_one_id(refused: Any, folder: Path, tmp_path: Path) -> None:
    (folder / "corpus" / "old").mkdir()
    (folder / "corpus" / "old" / "Opening_Hours.md").write_text("# Hours\n\nNever.")
    rows = written(tmp_path / "rows.jsonl", [{**ROW, **LABELS}] * 200)
    for words in (["check", folder], ["train", folder, "--data", rows]):
        assert refused(*words)["code"] == "RUNG-CORPUS-DUPLICATE"


def test_a_corpus_without_a_word(refused: Any, folder: Path) -> None:
    article = folder / "corpus" / "opening_hours.md"
    article.write_text("# Opening hours\n")
    assert refused("check", folder)["code"] == "RUNG-CORPUS-EMPTY"
    article.unlink()
    assert refused("check", folder)["code"] == "RUNG-CORPUS-EMPTY"


# --- training rows


def without(column: str) -> dict[str, Any]:
    return {name: value for name, value in {**ROW, **LABELS}.items() if name != column}


GOOD = {**ROW, **LABELS}
LATER = {**GOOD, "occurred_at": "9000-12-31T10:00:00+00:00"}
BAD_ROWS: dict[str, tuple[list[Any], str, int | None]] = {
    "no rows": ([], "RUNG-TABLE-EMPTY", None),
    "no object": ([GOOD, 7], "RUNG-TABLE-CONTENT", 2),
    "no intent": ([GOOD, without("intent")], "RUNG-FACTS-NULL", 2),
    "no truth": ([GOOD, without("truth")], "RUNG-FACTS-NULL", 2),
    "no message": ([GOOD, without("message")], "RUNG-FACTS-NULL", 2),
    "another intent": ([{**GOOD, "intent": "x"}], "RUNG-FACTS-VALUE", 1),
    "documents of a wrong type": ([{**GOOD, "documents": "a"}], "RUNG-TABLE-CONTENT", 1),
    "a number out of range": ([GOOD, {**GOOD, "amount": -1}], "RUNG-FACTS-VALUE", 2),
    "a text for a number": ([{**GOOD, "amount": "12"}], "RUNG-FACTS-VALUE", 1),
    "of the future": ([GOOD, LATER], "RUNG-TABLE-FUTURE", 2),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_cannot_be_trained_on(
    refused: Any, folder: Path, tmp_path: Path, case: str
) -> None:
    rows, code, line = BAD_ROWS[case]
    error = refused("train", folder, "--data", written(tmp_path / "rows.jsonl", rows))
    assert (error["code"], error["line"]) == (code, line)
    # Nothing of a training is left behind.
    assert not (tmp_path / "home" / "artifacts").exists()


@pytest.mark.parametrize(
    "text", ['{"message": NaN}', '{"message": 1e999}', "{", '{"a": 1, "a": 1}']
)
def test_lines_that_are_no_json(refused: Any, folder: Path, tmp_path: Path, text: str) -> None:
    rows = written(tmp_path / "rows.jsonl", [GOOD])
    rows.write_text(rows.read_text() + text + "\n")
    error = refused("train", folder, "--data", rows)
    assert (error["code"], error["line"]) == ("RUNG-JSON-SYNTAX", 2)


def test_a_file_of_rows_that_is_not_there(refused: Any, folder: Path, tmp_path: Path) -> None:
    for command in (["train", folder], ["evaluate", "router", "--test", "x.csv"]):
        option = "--data" if command[0] == "train" else "--train"
        error = refused(*command, option, tmp_path / "absent.csv")
        assert error["code"] in ("RUNG-FILE-READ", "RUNG-TABLE-READ")


# --- tables and collections

TABLES = {
    "another column": ("text,intent\nhello,a\n", "RUNG-TABLE-COLUMN"),
    "a column twice": ("text,label,text\nhello,a,b\n", "RUNG-TABLE-HEADER"),
    "no rows": ("text,label\n", "RUNG-TABLE-EMPTY"),
    "nothing": ("", "RUNG-TABLE-READ"),
    "an empty text": ("text,label\n ,a\n", "RUNG-TABLE-EMPTY"),
    "a ragged row": ("text,label\nhello,a,b\n", "RUNG-TABLE-RAGGED"),
    "a NUL": ("text,label\nhel\0lo,a\n", "RUNG-TABLE-READ"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_cannot_be_read(refused: Any, tmp_path: Path, case: str) -> None:
    content, code = TABLES[case]
    table, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    table.write_text(content)
    good.write_text("text,label\nhello,a\n")
    for train, test in ((table, good), (good, table)):
        error = refused("evaluate", "router", "--train", train, "--test", test)
        assert error["code"] == code
        assert "bad.csv" in error["message"]


def test_a_collection_without_its_files(refused: Any, tmp_path: Path) -> None:
    assert refused("evaluate", "ranker", "--beir", tmp_path)["code"] == "RUNG-BEIR-READ"


def test_a_collection_with_an_id_twice(refused: Any, tmp_path: Path) -> None:
    document = {"_id": "d1", "text": "words"}
    written(tmp_path / "corpus.jsonl", [document, document])
    assert refused("evaluate", "ranker", "--beir", tmp_path)["code"] == "RUNG-BEIR-DUPLICATE"


# --- facts, keys and settings


def test_a_file_of_facts_that_is_not_there(refused: Any, tmp_path: Path) -> None:
    rules = EXAMPLE / "rules.yaml"
    assert refused("decide", rules, "--facts", tmp_path / "absent")["code"] == "RUNG-FILE-READ"


def test_keys_that_cannot_be(refused: Any) -> None:
    assert refused("key", "create", "--scope", "everything")["code"] == "RUNG-KEY-SCOPE"
    assert refused("key", "create", "--scope", "read", "--name", "")["code"] == "RUNG-KEY-FORM"
    assert refused("key", "revoke", "nobody")["code"] == "RUNG-KEY-UNKNOWN"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("RUNG_HOEM", "x", "RUNG-SETTING-UNKNOWN"),
        ("RUNG_PORT", "eighty", "RUNG-SETTING-VALUE"),
        ("RUNG_BROKER_URL", "kafka://x", "RUNG-SETTING-VALUE"),
        ("RUNG_DATABASE_URL", "mysql://user:hunter2@host/name", "RUNG-SETTING-VALUE"),
    ],
)
@pytest.mark.parametrize("words", [["key", "list"], ["serve"], ["worker"]], ids=" ".join)
def test_settings_that_are_none(
    refused: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    name: str,
    value: str,
    code: str,
) -> None:
    monkeypatch.setenv(name, value)
    error = refused(*words)
    assert error["code"] == code
    assert name in error["message"]
    assert "hunter2" not in json.dumps(error)


def test_a_home_that_cannot_be_made(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    assert refused("key", "list")["code"] == "RUNG-SETTING-HOME"


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_port_that_is_none(refused: Any, port: str) -> None:
    assert refused("serve", "--port", port)["code"] == "RUNG-SERVER-ADDRESS"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["embed", "--bogus"], "No such option: --bogus"),
        (["embd"], "No such command 'embd'"),
        (["jobs", "lst"], "No such command 'lst'"),
        (["embed"], "Missing argument"),
        (["jobs", "list", "--tenant", "A!"], "small letters"),
    ],
)
def test_words_that_make_no_command_are_told_as_json_where_it_is_asked_for(
    words: list[str], message: str
) -> None:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 2 and result.stderr == ""
    refusal = json.loads(result.stdout)
    assert faults("error", refusal) == []
    assert refusal["error"]["code"] == "RUNG-CLI-USAGE" and message in refusal["error"]["message"]
    readable = CliRunner().invoke(app, words)
    assert readable.exit_code == 2 and readable.stdout == "" and message in readable.stderr
