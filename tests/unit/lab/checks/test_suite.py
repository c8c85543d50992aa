"""What holds for every registered check, whatever it looks at."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.spec import DecisionSpec
from lab.checks import CHECKS, Check, run_checks
from lab.checks.result import OUTCOMES
from lab.checks.subject import Rows, Subject
from tests.unit.lab.checks.worlds import (
    MemorySnapshot,
    days,
    loans,
    snapshot,
    support_spec,
    table_spec,
    with_fields,
)

DOCS = Path(__file__).parents[4] / "docs" / "reference" / "checks.md"
TIMED = with_fields({"asked_at": {"type": "time"}}, time="asked_at", label_delay_days=5)
SPEC = table_spec()


def timed(n: int = 400) -> dict[str, Any]:
    return {**loans(n), "asked_at": days(range(n))}


def texts(n: int = 120) -> dict[str, Any]:
    """Of the example: half of its requests are read by a form, and of two truths."""
    fields = support_spec().request.fields
    columns: dict[str, Any] = {}
    for name, field in fields.items():
        if name == "message":
            columns[name] = [f"where is my transfer number {row % 90}" for row in range(n)]
        elif field.type == "category":
            columns[name] = [field.values[row % len(field.values)] for row in range(n)]
        elif field.type == "time":
            columns[name] = days(range(n))
        elif field.type in ("number", "integer"):
            columns[name] = [row * 7 % 11 for row in range(n)]
        elif field.type == "boolean":
            columns[name] = [row % 3 == 0 for row in range(n)]
        else:
            columns[name] = [f"c{row % 40}" for row in range(n)]
    columns["truth"] = ["answer" if row % 2 else "person" for row in range(n)]
    return columns


def nothing_known(n: int = 60) -> dict[str, Any]:
    return {**{name: [None] * n for name in loans(1)}, "defaulted": [0, 1] * (n // 2)}


SNAPSHOTS: dict[str, tuple[DecisionSpec, MemorySnapshot]] = {
    "ordinary": (SPEC, snapshot(SPEC, loans(400))),
    "by time": (TIMED, snapshot(TIMED, timed())),
    "no rows": (SPEC, snapshot(SPEC, {name: [] for name in loans(1)})),
    "one row": (SPEC, snapshot(SPEC, loans(1))),
    "one row with a time": (TIMED, snapshot(TIMED, timed(1))),
    "49 rows": (SPEC, snapshot(SPEC, loans(49))),
    "one class": (SPEC, snapshot(SPEC, {**loans(200), "defaulted": [1] * 200})),
    "9 of a class": (SPEC, snapshot(SPEC, {**loans(200), "defaulted": [1] * 9 + [0] * 191})),
    "nothing known": (SPEC, snapshot(SPEC, nothing_known())),
    "no label column": (SPEC, snapshot(SPEC, {"amount": [1.0] * 80})),
    "one moment": (TIMED, snapshot(TIMED, {**loans(90), "asked_at": days([0] * 90)})),
    "no time": (TIMED, snapshot(TIMED, {**loans(90), "asked_at": [None] * 90})),
    "text": (support_spec(), snapshot(support_spec(), texts())),
}


def told(check: Check, spec: DecisionSpec, rows: Any, earlier: Any) -> dict[str, Any]:
    subject = Subject(rows=Rows(spec, rows), earlier=Rows(spec, earlier))
    return check.run(subject).to_json()


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_check_says_something_of_any_snapshot(check: Check, name: str) -> None:
    spec, rows = SNAPSHOTS[name]
    found = told(check, spec, rows, rows)
    assert found["outcome"] in OUTCOMES
    assert found["evidence"] and "nan" not in found["evidence"]
    assert bool(found["way_out"]) == (found["outcome"] in ("issue", "tip"))
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["ordinary", "by time", "text"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_the_order_in_which_rows_are_read_has_no_say(check: Check, name: str) -> None:
    spec, rows = SNAPSHOTS[name]
    first = told(check, spec, rows, rows)
    assert told(check, spec, rows, rows) == first
    assert told(check, spec, rows.shuffled(1), rows.shuffled(2)) == first


@pytest.mark.parametrize("name", ["no rows", "one row", "49 rows"])
def test_nothing_is_judged_by_too_few_rows(name: str) -> None:
    spec, rows = SNAPSHOTS[name]
    results = run_checks(spec, rows, earlier=rows)
    judged = {one.code for one in results if one.outcome in ("issue", "tip", "passed")}
    assert judged <= {"LEAK-UNAVAILABLE", "DATA-NONDETERMINISTIC"}  # they read no statistics


def test_rows_without_a_leak_raise_no_issue() -> None:
    for seed in range(5):
        rows = snapshot(SPEC, loans(seed=seed))
        results = run_checks(SPEC, rows, earlier=snapshot(SPEC, loans(seed=seed + 100)))
        assert [one.code for one in results if one.outcome == "issue"] == []


def test_all_checks_are_told_in_their_order_and_as_they_go() -> None:
    spec, rows = SNAPSHOTS["ordinary"]
    steps: list[tuple[str, int, int]] = []
    results = run_checks(spec, rows, progress=lambda *step: steps.append(step))
    assert [one.code for one in results] == [check.code for check in CHECKS]
    assert [done for _, done, _ in steps] == list(range(1, len(CHECKS) + 1))


def test_codes_are_unique_and_documented() -> None:
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"(LEAK|DATA)(-[A-Z]+)+", code) for code in codes)
    sections = re.findall(r"^## (\S+)$", DOCS.read_text("utf-8"), re.M)
    assert sections == codes
    severities = re.findall(r"^Severity: (high|medium|low)", DOCS.read_text("utf-8"), re.M)
    assert severities == [check.severity for check in CHECKS]
