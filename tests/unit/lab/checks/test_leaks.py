"""Planted leaks are found by their field, and honest fields beside them are not."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from core.errors import InvalidDocument
from core.spec import parse_spec
from lab.checks.dates import assembled_dates
from lab.checks.result import CheckResult
from lab.checks.subject import Rows
from lab.checks.values import Values, read_values
from rules.ruleset import RulesEngine
from tests.fakes.entity_decision import DECISION
from tests.fakes.table_world import table_spec
from tests.unit.lab.checks.worlds import (
    START,
    days,
    labels_of,
    loans,
    run,
    snapshot,
    support_spec,
    with_features,
    with_fields,
)

SPEC = table_spec()


COPIES: dict[str, tuple[dict[str, Any], Any]] = {
    "a number that rises with it": ({"type": "number"}, lambda y, r: y + r.normal(0, 0.2, len(y))),
    "a number that falls": ({"type": "number"}, lambda y, r: -2.0 * y + r.normal(0, 0.3, len(y))),
    "a peak inside a range": (
        {"type": "number"},
        lambda y, r: np.where(y, r.uniform(0.45, 0.55, len(y)), r.uniform(0, 1, len(y)) // 0.2),
    ),
    "where it is missing": (
        {"type": "number", "missing": "unknown"},
        lambda y, r: [
            float(v) if one else None for one, v in zip(y, r.normal(size=len(y)), strict=True)
        ],
    ),
    "a category": (
        {"type": "category", "values": ["paid", "lost", "sold"]},
        lambda y, r: np.where(y, np.where(r.random(len(y)) < 0.5, "lost", "sold"), "paid"),
    ),
    "the length of a text": (
        {"type": "text"},
        lambda y, r: [f"{n} " + "letter " * (9 if one else 2) for n, one in enumerate(y)],
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_target_is_found(name: str) -> None:
    field, made = COPIES[name]
    columns = loans()
    values = made(labels_of(columns), np.random.default_rng(1))
    columns["planted"] = values.tolist() if isinstance(values, np.ndarray) else values
    found = run("LEAK-TARGET-COPY", with_fields({"planted": field}), columns)
    assert found.outcome == "issue"
    assert found.figures["copies"] == ["planted"]
    told = found.figures["fields"]["planted"]
    assert told["auc"] >= 0.95 and told["ci_low"] < told["auc"] and told["n"] >= 100


def test_an_identifier_tells_nothing_out_of_fold() -> None:
    columns = {**loans(), "number": [f"n{row}" for row in range(2000)]}
    found = run("LEAK-TARGET-COPY", with_fields({"number": {"type": "text"}}), columns)
    assert found.outcome == "passed"


def test_a_form_that_tells_one_truth_is_a_tip_and_one_that_tells_all_an_issue() -> None:
    spec, source = support_spec(), np.random.default_rng(0)
    truths = [*spec.outcomes, "answer", "person"]
    truth = [truths[n] for n in source.integers(0, len(truths), 1200)]
    name = next(n for n, f in spec.request.fields.items() if f.type == "category")
    values = spec.request.fields[name].values
    columns: dict[str, Any] = {
        "message": [f"hello {n}" for n in range(1200)],
        "truth": truth,
        name: [values[0] if one == truths[0] else values[1] for one in truth],
    }
    found = run("LEAK-TARGET-COPY", spec, columns)
    assert (found.outcome, list(found.figures["fields"])) == ("tip", [name])
    amount = next(n for n, f in spec.request.fields.items() if f.type == "number" and f.available)
    columns[amount] = [float(truths.index(one)) for one in truth]
    found = run("LEAK-TARGET-COPY", spec, columns)
    assert found.outcome == "issue" and found.figures["copies"] == [amount]


def test_a_field_too_strong_is_probably_a_leak() -> None:
    columns = loans()
    noise = np.random.default_rng(1).normal(0, 0.7, 2000)
    columns["seconds"] = (labels_of(columns) + noise).tolist()  # AUC Φ(1 / (.7·√2)) = .844
    spec = with_fields({"seconds": {"type": "number"}})
    assert run("LEAK-TARGET-COPY", spec, columns).outcome == "passed"
    found = run("LEAK-DOMINANT", spec, columns)
    assert found.outcome == "issue" and list(found.figures["fields"]) == ["seconds"]
    assert found.figures["fields"]["seconds"]["auc"] == pytest.approx(0.844, abs=0.02)
    assert found.figures["model"]["drop"] > 0.05


def test_the_one_field_that_is_worth_something_is_a_tip() -> None:
    found = run("LEAK-DOMINANT", SPEC, loans())
    assert found.outcome == "tip" and list(found.figures["fields"]) == ["amount"]
    assert found.figures["model"]["auc"] < 0.8


def test_the_days_between_two_dates_give_the_target_away() -> None:
    """One is held in pieces, with the month as a name."""
    columns, source = loans(), np.random.default_rng(1)
    begin = source.integers(0, 700, 2000)
    columns["status_at"] = days(begin + np.where(labels_of(columns), -3, 2))
    arrived = days(begin)
    columns["arrival_year"] = [day.year for day in arrived]
    columns["arrival_month"] = [f"{day:%B}" for day in arrived]
    columns["arrival_day_of_month"] = [day.day for day in arrived]
    months = [f"{START.replace(month=m):%B}" for m in range(1, 13)]
    spec = with_fields(
        {
            "status_at": {"type": "time"},
            "arrival_year": {"type": "integer"},
            "arrival_month": {"type": "category", "values": months},
            "arrival_day_of_month": {"type": "integer"},
        }
    )
    assert run("LEAK-TARGET-COPY", spec, columns).outcome == "passed"
    found = run("LEAK-DERIVED", spec, columns)
    assert found.outcome == "issue"
    (told,) = found.figures["combinations"].values()
    assert told["auc"] == 1.0 and max(one["auc"] for one in told["alone"].values()) < 0.6
    assert told["columns"] == [
        "status_at", "arrival_year", "arrival_month", "arrival_day_of_month",
    ]  # fmt: skip


@pytest.mark.parametrize("sign", ["-", "/"])
def test_two_numbers_give_the_target_away(sign: str) -> None:
    columns, source = loans(), np.random.default_rng(1)
    owed, y = source.uniform(50, 150, 2000), labels_of(columns)
    paid = owed - 8 * y if sign == "-" else owed * np.where(y, 0.8, 1)
    columns |= {"owed": (owed + 20 * y).tolist(), "paid": (paid + 20 * y).tolist()}
    if sign == "/":
        columns |= {"owed": (owed * (1 + y)).tolist(), "paid": (paid * (1 + y)).tolist()}
    spec = with_fields({"owed": {"type": "number"}, "paid": {"type": "number"}})
    assert run("LEAK-TARGET-COPY", spec, columns).outcome == "passed"
    found = run("LEAK-DERIVED", spec, columns)
    assert found.outcome == "issue" and f"owed {sign} paid" in found.figures["combinations"]


def test_a_ratio_that_selects_rows_is_no_leak() -> None:
    """Among the few rows with another divisor than 0 nearly all are positive."""
    columns, source = loans(), np.random.default_rng(1)
    y = labels_of(columns)
    columns["before"] = ((source.random(2000) < np.where(y, 0.15, 0.01)) * 1).tolist()
    columns["lead"] = (source.integers(1, 400, 2000) + 100 * y).tolist()
    spec = with_fields({"before": {"type": "integer"}, "lead": {"type": "integer"}})
    assert run("LEAK-DERIVED", spec, columns).outcome == "passed"


@pytest.mark.parametrize(
    "names",
    [
        ("arrival_date_year", "arrival_date_month", "arrival_date_day_of_month"),
        ("year", "month", "day"),
        ("year_of_birth", "month_of_birth", "day_of_birth"),
        ("due_yyyy", "due_mon", "due_dom"),
    ],
)
def test_dates_are_assembled(names: tuple[str, str, str]) -> None:
    parts = ([2024.0, 2023.0], [2.0, 2.0], [29.0, 29.0])
    columns = {
        name: Values(kind="integer", numbers=np.array(part))
        for name, part in zip(names, parts, strict=True)
    }
    (date,) = assembled_dates(columns)
    assert date.days[0] == 19782 and np.isnan(date.days[1])  # 2023 had no 29 February
    assert set(date.parts) == set(names)


def test_an_identifier_that_is_read() -> None:
    columns = {**loans(), "loan_number": list(range(90_000, 92_000))}
    field: dict[str, Any] = {"loan_number": {"type": "integer"}}
    read = with_features(field, number={"kind": "number", "of": "loan_number"})
    assert run("LEAK-IDENTIFIER", read, columns).outcome == "issue"
    assert run("LEAK-IDENTIFIER", with_fields(field), columns).outcome == "tip"
    assert run("LEAK-IDENTIFIER", table_spec(), columns).outcome == "passed"


def test_rows_that_are_sorted_by_the_label() -> None:
    columns = loans()
    assert run("LEAK-ORDER", SPEC, columns).outcome == "passed"
    order = np.argsort(columns["defaulted"], kind="stable")
    by_label = {name: [values[place] for place in order] for name, values in columns.items()}
    assert run("LEAK-ORDER", SPEC, by_label).outcome == "issue"


TIMES: dict[str, Any] = {
    "asked_at": {"type": "time"},
    "closed_at": {"type": "time", "missing": "unknown"},
    "score": {"type": "number", "known_at": "scored_at"},
}


@pytest.mark.parametrize(
    ("later", "closed", "outcome"),
    [(0, 0, "passed"), (3, 0, "issue"), (0, 40, "tip")],
)
def test_what_is_known_only_later(later: float, closed: float, outcome: str) -> None:
    n = 400
    columns = {
        **loans(n),
        "asked_at": days(range(n)),
        "closed_at": [day + timedelta(days=closed) for day in days(range(n))],
        "score": [1.0] * n,
        "scored_at": [
            day + timedelta(days=later if row < 40 else -1)
            for row, day in enumerate(days(range(n)))
        ],
    }
    found = run("LEAK-FUTURE", with_fields(TIMES, time="asked_at"), columns)
    assert found.outcome == outcome
    if later:
        assert found.figures["known_at"]["score"]["later"]["mean"] == 0.1
        assert found.figures["known_at"]["score"]["days_at_most"] == pytest.approx(3)


def test_a_feature_that_reads_what_is_not_available_is_refused() -> None:
    text = DECISION.replace(
        "    amount: {kind: number, of: amount}", "    amount: {kind: number, of: disputed}"
    )
    with pytest.raises(InvalidDocument, match="not available at prediction time"):
        parse_spec(text)


@pytest.mark.parametrize(
    "when", ["{field: seconds, gt: 9}", "{all: [{expr: 'facts.seconds > 9.0'}]}"]
)
def test_a_rule_that_reads_what_is_not_available(when: str) -> None:
    engine = RulesEngine.from_text(
        f"version: '1'\nhit_policy: first\nrules:\n"
        f"  - {{id: long, when: {when}, outcome: grant, reason: it took long}}\n"
    )
    hidden = with_fields({"seconds": {"type": "number", "available": False}})
    found = run("LEAK-UNAVAILABLE", hidden, loans(60), rules=engine)
    assert found.outcome == "issue" and found.figures["rules"] == {"long": ["seconds"]}
    honest = with_fields({"seconds": {"type": "number"}})
    assert run("LEAK-UNAVAILABLE", honest, loans(60), rules=engine).outcome == "passed"


def test_texts_that_come_again_in_the_test_rows() -> None:
    spec, source = support_spec(), np.random.default_rng(0)

    def found(code: str, texts: list[str]) -> CheckResult:
        columns = {"message": texts, str(spec.request.time_field): days(range(len(texts)))}
        return run(code, spec, columns)

    texts = [" ".join(f"w{n}" for n in source.integers(0, 5000, 25)) for _ in range(300)]
    near = [*texts[:240], *(f"{one} thanks" for one in texts[:30]), *texts[270:]]
    copied = [*texts[:240], *(f"  {one.upper()}" for one in texts[:30]), *texts[270:]]
    assert found("LEAK-NEAR-DUPLICATES", texts).outcome == "passed"
    assert found("LEAK-NEAR-DUPLICATES", near).outcome == "issue"
    assert found("LEAK-NEAR-DUPLICATES", near).figures["share"]["mean"] == 0.5
    assert found("LEAK-DUPLICATES", near).outcome == "passed"
    assert found("LEAK-DUPLICATES", copied).outcome == "issue"


def test_a_customer_on_both_sides_is_a_tip() -> None:
    columns = loans()
    found = run("LEAK-ENTITY", SPEC, {**columns, "customer": [f"c{n % 50}" for n in range(2000)]})
    assert found.outcome == "tip" and found.figures["share"]["mean"] == 1
    alone = run("LEAK-ENTITY", SPEC, {**columns, "customer": [f"c{n}" for n in range(2000)]})
    assert alone.outcome == "passed"


def test_the_rows_that_the_embargo_leaves_out() -> None:
    """One row a day, so that a delay of 7 days leaves out 6 before each cut."""
    columns = {**loans(500), "asked_at": days(range(500))}
    fields = {"asked_at": {"type": "time"}}
    spec = with_fields(fields, time="asked_at", label_delay_days=7)
    found = run("LEAK-LABEL-DELAY", spec, columns)
    assert found.outcome == "passed"
    assert found.figures["left_out_before_validation"] == 6
    assert found.figures["left_out_before_test"] == 6
    none = run("LEAK-LABEL-DELAY", with_fields(fields, time="asked_at"), columns)
    assert none.outcome == "tip" and none.figures["within_horizon"] == 2 * 89  # of 90 days
    long = run(
        "LEAK-LABEL-DELAY", with_fields(fields, time="asked_at", label_delay_days=400), columns
    )
    assert long.outcome == "issue"


def test_rows_of_one_moment_at_a_cut() -> None:
    spec = with_fields({"asked_at": {"type": "time"}}, time="asked_at")
    columns = loans(500)
    assert run("LEAK-TIES", spec, {**columns, "asked_at": days(range(500))}).outcome == "passed"
    monthly = days([row // 50 for row in range(500)])
    found = run("LEAK-TIES", spec, {**columns, "asked_at": monthly})
    assert found.outcome == "tip" and [cut["rows"] for cut in found.figures["cuts"]] == [50, 50]


def test_values_are_what_the_snapshot_gives_to_features() -> None:
    spec = with_fields({"asked_at": {"type": "time"}}, time="asked_at")
    content = snapshot(spec, {**loans(60), "asked_at": days(np.arange(60) / 7)})
    places = np.array([3, 1, 59])
    for name in ("asked_at", "amount", "channel"):
        whole = content.columns([name])[name]
        assert Rows(spec, content).python(name, places) == [whole[place] for place in places]


def test_unknown_values_stay_unknown() -> None:
    read = read_values("category", pa.chunked_array([["b", None, "a"], ["b"]]))
    assert read.codes is not None and read.codes.tolist() == [1, -1, 0, 1]
    assert read.levels == ("a", "b") and read.unknown.tolist() == [False, True, False, False]
    assert read.shares() == {"a": 0.25, "b": 0.5}
