"""`rung check` over rows: what it prints, how it ends, and the leaks of real data."""

import csv
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cli.main import app
from lab.checks import CHECKS
from tests.schemas import faults
from tests.terminal import ROOT

DATA = ROOT / "../shared/data"
LOANS = ROOT / "examples" / "small_loans"
on_real_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real data does not lie beside the project"
)


def ended(home: Path, *words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)], env={"RUNG_HOME": str(home)})


def told(home: Path, *words: object, code: int = 0) -> Any:
    result = ended(home, "check", *words, "--json")
    assert result.exit_code == code, result.output
    content = json.loads(result.stdout)
    assert faults("check" if code < 2 else "error", content) == []
    return content


def found(content: Any, code: str) -> Any:
    return next(one for one in content["checks"] if one["code"] == code)


def issues(content: Any) -> list[str]:
    return [one["code"] for one in content["checks"] if one["outcome"] == "issue"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """loans.csv and payments.jsonl."""
    folder = tmp_path_factory.mktemp("loans")
    words = ["--rows", "3000", "--seed", "1", "--out", "loans.csv", "--events", "payments.jsonl"]
    subprocess.run([sys.executable, LOANS / "simulate.py", *words], cwd=folder, check=True)
    return folder


def asked(folder: Path, table: str = "loans.csv") -> Sequence[object]:
    events = f"customer={folder / 'payments.jsonl'}"
    return (LOANS, "--data", folder / table, "--events", events)


def test_the_example_has_no_leak(simulated: Path, tmp_path: Path) -> None:
    content = told(tmp_path, *asked(simulated))
    assert [one["code"] for one in content["checks"]] == [check.code for check in CHECKS]
    assert issues(content) == []
    again = told(tmp_path, LOANS, "--snapshot", content["snapshot"][:12])
    assert again == content


def test_without_rows_it_says_what_it_said(tmp_path: Path) -> None:
    content = told(tmp_path, LOANS)
    assert content["decision"] == "small_loans 1" and content["cases"] == 2
    assert content["snapshot"] is None and content["checks"] == []
    assert told(tmp_path, LOANS / "rules.yaml")["checks"] == []
    assert not list(tmp_path.iterdir())  # no home is made to read two files


def with_column(folder: Path, name: str, table: str) -> Path:
    """The example, with a number that is declared and tells the label."""
    decision = folder / name
    decision.mkdir()
    text = (LOANS / "decision.yaml").read_text("utf-8")
    declared = "    channel: {type: category"
    text = text.replace(declared, "    collection_fee: {type: number}\n" + declared)
    (decision / "decision.yaml").write_text(text, "utf-8")
    (decision / "rules.yaml").write_text((LOANS / "rules.yaml").read_text("utf-8"), "utf-8")
    with (folder / "loans.csv").open() as source, (folder / table).open("w") as target:
        rows = [
            {**row, "collection_fee": 35 if row["defaulted"] == "yes" else 0}
            for row in csv.DictReader(source)
        ]
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return decision


def test_a_leak_of_high_severity_ends_with_1(simulated: Path, tmp_path: Path) -> None:
    decision = with_column(simulated, "leaking", "leaking.csv")
    _, *words = asked(simulated, "leaking.csv")
    content = told(tmp_path, decision, *words, code=1)
    assert issues(content) == ["LEAK-TARGET-COPY"]
    readable = ended(tmp_path, "check", decision, "--snapshot", content["snapshot"])
    assert readable.exit_code == 1
    lines = readable.stdout.splitlines()
    first = next(line for line in lines if line.startswith(("issue", "tip", "passed")))
    assert first == "issue LEAK-TARGET-COPY (high)"
    assert "  docs/reference/checks.md#leak-target-copy" in lines


def test_what_changed_against_another_snapshot(simulated: Path, tmp_path: Path) -> None:
    """Income was unknown in 1 of 25 rows or so, and is 0 there now."""
    with (simulated / "loans.csv").open() as source, (simulated / "zero.csv").open("w") as target:
        rows = [{**row, "income": row["income"] or "0"} for row in csv.DictReader(source)]
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    first = told(tmp_path, *asked(simulated))
    same = told(tmp_path, *asked(simulated), "--against", first["snapshot"])
    assert found(same, "DATA-NULLS-CHANGED")["outcome"] == "passed"
    content = told(tmp_path, *asked(simulated, "zero.csv"), "--against", first["snapshot"])
    nulls = found(content, "DATA-NULLS-CHANGED")
    assert nulls["outcome"] == "issue"
    assert nulls["figures"]["earlier"] == first["snapshot"]
    assert nulls["figures"]["fields"]["income"]["stands_for_unknown"] == "0"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([LOANS, "--against", "abcd"], "RUNG-SNAPSHOT-CHOICE"),
        ([LOANS, "--events", "customer=x"], "RUNG-SNAPSHOT-CHOICE"),
        ([LOANS / "rules.yaml", "--data", "x.csv"], "RUNG-SNAPSHOT-CHOICE"),
        ([LOANS, "--data", "x.csv", "--snapshot", "abcd"], "RUNG-SNAPSHOT-CHOICE"),
        ([LOANS, "--snapshot", "abcd"], "RUNG-SNAPSHOT-UNKNOWN"),
    ],
)
def test_what_cannot_be_checked_is_refused(words: list[object], code: str, tmp_path: Path) -> None:
    assert told(tmp_path, *words, code=2)["error"]["code"] == code


def test_the_bench_measures_every_check_and_leaves_no_snapshot(
    simulated: Path, tmp_path: Path
) -> None:
    result = ended(tmp_path, "bench", "checks", *asked(simulated), "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert faults("bench-checks", content) == []
    assert content["rows"] == 3000 and list(content["by_check"]) == [one.code for one in CHECKS]
    assert not (tmp_path / "snapshots").exists()  # training takes the newest


FRAME: dict[str, Any] = {
    "version": "1",
    "outcomes": {"act": "somebody does something", "rest": "nobody does anything"},
    "costs": {
        "currency": "EUR",
        "error": 4,
        "wrong_answer": 4,
        "person": {"price": 6, "minutes": 0, "error_rate": 0},
    },
    "budgets": {
        "latency_p95_ms": 100,
        "deadline_ms": 2000,
        "throughput_per_s": 20,
        "price_per_decision": 0,
        "price_per_day": 0,
    },
}
KINDS = {"number": "number", "integer": "number", "category": "category"}


def decision_of(folder: Path, name: str, label: str, fields: Any, **risk: Any) -> Path:
    """Every number and category is read by a feature of its name."""
    read = {
        field: {"kind": KINDS[one["type"]], "of": field}
        for field, one in fields.items()
        if one["type"] in KINDS and one.get("available", True)
    }
    content = {
        **FRAME,
        "name": name,
        "framing": {
            "event": f"somebody asks for a {name}",
            "population": "everybody who asked in these years",
            "target": "what became of it within thirty days",
            "horizon_days": 30,
            "label_delay_days": 0,
            "kpi": {"name": "money", "unit": "EUR a month", "better": "higher"},
            "owner": "the owner of it",
        },
        "request": {"time": {"row_number": True}, "fields": fields},
        "risk": {
            "outcome": "act",
            "otherwise": "rest",
            "label": label,
            "features": read,
            **risk,
        },
    }
    made = folder / name
    made.mkdir(parents=True)
    (made / "decision.yaml").write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    (made / "rules.yaml").write_text('version: "1"\nhit_policy: first\n', "utf-8")
    return made


def columns_of(path: Path, delimiter: str) -> dict[str, list[str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def declared(
    columns: dict[str, list[str]], categories: Sequence[str], unknown: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for column, values in columns.items():
        field: dict[str, Any] = {"type": "number", "missing": "unknown"}
        if column in categories:
            known = sorted(set(values) - {unknown})
            field = {"type": "category", "values": known, "missing": "unknown"}
        name = column.replace(".", "_")
        yield name, field | ({"column": column} if name != column else {})


BANK = DATA / "bank_marketing" / "bank-additional-full.csv.gz"
BANK_CATEGORIES = (
    "job", "marital", "education", "default", "housing", "loan", "contact", "month",
    "day_of_week", "poutcome",
)  # fmt: skip
HOTEL = DATA / "hotel_bookings" / "hotel_bookings.csv.gz"
HOTEL_CATEGORIES = (
    "hotel", "arrival_date_month", "meal", "country", "market_segment", "distribution_channel",
    "reserved_room_type", "assigned_room_type", "deposit_type", "agent", "company",
    "customer_type", "reservation_status",
)  # fmt: skip


def bank_fields() -> dict[str, Any]:
    columns = columns_of(BANK, ";")
    columns.pop("y")
    return dict(declared(columns, BANK_CATEGORIES, ""))


@on_real_data
def test_the_length_of_a_call_is_a_probable_leak(tmp_path: Path) -> None:
    decision = decision_of(tmp_path, "bank", "y", bank_fields(), positive="yes")
    content = told(tmp_path / "home", decision, "--data", BANK)
    dominant = found(content, "LEAK-DOMINANT")
    assert dominant["outcome"] == "issue"
    assert list(dominant["figures"]["fields"]) == ["duration"]
    assert dominant["figures"]["fields"]["duration"]["read_by"] == ["duration"]
    assert dominant["figures"]["model"]["auc"] == pytest.approx(0.953, abs=0.01)
    assert found(content, "LEAK-TARGET-COPY")["outcome"] == "passed"
    assert found(content, "LEAK-DERIVED")["outcome"] == "passed"
    rates = found(content, "DATA-BASE-RATE")["figures"]["parts"]
    assert rates["fit"]["mean"] == pytest.approx(0.048, abs=0.001)
    assert rates["test"]["mean"] == pytest.approx(0.308, abs=0.001)


@on_real_data
def test_the_length_of_a_call_that_is_known_afterwards_is_refused(tmp_path: Path) -> None:
    fields = bank_fields()
    features = {"duration": {"kind": "number", "of": "duration"}}
    fields["duration"]["available"] = False
    decision = decision_of(tmp_path, "bank", "y", fields, positive="yes", features=features)
    error = told(tmp_path / "home", decision, "--data", BANK, code=2)["error"]
    assert "'duration', which is not available at prediction time" in error["message"]


@on_real_data
def test_the_leaks_of_the_hotel_are_found_in_a_minute(tmp_path: Path) -> None:
    columns = columns_of(HOTEL, ",")
    columns.pop("is_canceled")
    columns.pop("reservation_status_date")
    fields = dict(declared(columns, HOTEL_CATEGORIES, "NULL"))
    fields["reservation_status_date"] = {"type": "time", "format": "%m/%d/%Y"}
    fields["agent"]["values"].append("NULL")
    fields["company"]["values"].append("NULL")
    decision = decision_of(tmp_path, "hotel", "is_canceled", fields)
    started = time.perf_counter()
    content = told(tmp_path / "home", decision, "--data", HOTEL, code=1)
    assert time.perf_counter() - started < 60  # some 8 s on one core
    copy = found(content, "LEAK-TARGET-COPY")
    assert copy["outcome"] == "issue" and list(copy["figures"]["fields"]) == ["reservation_status"]
    assert copy["figures"]["fields"]["reservation_status"]["auc"] == pytest.approx(1.0)
    derived = found(content, "LEAK-DERIVED")["figures"]["combinations"]
    assert list(derived) == ["reservation_status_date - arrival_date"]
    (pair,) = derived.values()
    assert pair["auc"] == pytest.approx(0.9998, abs=0.0001)
    assert pair["alone"]["reservation_status_date"]["auc"] == pytest.approx(0.59, abs=0.005)
    assert pair["columns"] == [
        "reservation_status_date", "arrival_date_year", "arrival_date_month",
        "arrival_date_day_of_month",
    ]  # fmt: skip
