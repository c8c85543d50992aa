"""What changed between snapshots, what varies too little, features that do not keep still."""

from typing import Any

import numpy as np
import pytest

from tests.fakes.table_world import table_spec
from tests.unit.lab.checks import faulty_computes
from tests.unit.lab.checks.worlds import loans, run, with_features, with_fields

SPEC = table_spec()
CHANGES = ("DATA-NULLS-CHANGED", "DATA-VALUES-CHANGED", "DATA-SHIFTED")


def test_without_another_snapshot_nothing_can_have_changed() -> None:
    for code in CHANGES:
        assert run(code, SPEC, loans()).outcome == "not applicable"


def test_samples_of_one_world_seldom_differ() -> None:
    """At most 5 % of the runs, over all fields at once: 6 of 60 would be a chance of 1 in 100."""
    for code in CHANGES:
        found = [
            run(code, SPEC, loans(300, seed=seed), earlier=loans(300, seed=seed + 1000)).outcome
            for seed in range(60)
        ]
        assert sum(one in ("issue", "tip") for one in found) <= 5


def test_unknown_became_zero() -> None:
    before, after = loans(), loans(seed=1)
    after["amount"] = [0.0 if value is None else value for value in after["amount"]]
    found = run("DATA-NULLS-CHANGED", SPEC, after, earlier=before)
    assert found.outcome == "issue" and list(found.figures["fields"]) == ["amount"]
    told = found.figures["fields"]["amount"]
    assert told["stands_for_unknown"] == "0"
    assert told["before"]["mean"] == pytest.approx(0.05, abs=0.02) and told["after"]["mean"] == 0
    back = run("DATA-NULLS-CHANGED", SPEC, before, earlier=after)
    assert back.figures["fields"]["amount"]["stands_for_unknown"] == "0"


def test_values_that_are_written_otherwise() -> None:
    fields: Any = {"sex": {"type": "category", "values": ["m", "f", "male", "female"]}}
    spec, before, after = with_fields(fields), loans(), loans(seed=1)
    before["sex"] = ["m", "f"] * 1000
    after["sex"] = ["male", "female"] * 1000
    found = run("DATA-VALUES-CHANGED", spec, after, earlier=before)
    assert found.outcome == "issue"
    assert found.figures["new_values"] == {"sex": {"female": 0.5, "male": 0.5}}
    assert found.figures["vanished_values"] == {"sex": {"f": 0.5, "m": 0.5}}
    assert run("DATA-VALUES-CHANGED", spec, before, earlier=before).outcome == "passed"


def test_a_rare_value_that_a_small_snapshot_lacks_is_chance() -> None:
    before, after = loans(60), loans()
    before["channel"] = ["app", "web"] * 30
    after["channel"] = ["phone"] * 30 + ["app", "web"] * 985
    assert run("DATA-VALUES-CHANGED", SPEC, after, earlier=before).outcome == "passed"


def test_a_null_policy_that_was_declared_otherwise() -> None:
    strict = table_spec(fields={"channel": {"type": "category", "values": ["app", "web", "phone"]}})
    found = run("DATA-VALUES-CHANGED", SPEC, loans(), earlier=loans(), earlier_spec=strict)
    assert found.outcome == "tip" and found.figures["schema_version_changed"]


def test_a_field_of_another_type() -> None:
    texts = table_spec(fields={"age": {"type": "number"}})
    found = run("DATA-VALUES-CHANGED", SPEC, loans(), earlier=loans(), earlier_spec=texts)
    assert found.outcome == "issue" and list(found.figures["retyped"]) == ["age"]


def test_a_unit_that_changed() -> None:
    after = loans(seed=1)
    after["amount"] = [None if value is None else value * 100 for value in after["amount"]]
    found = run("DATA-SHIFTED", SPEC, after, earlier=loans())
    assert found.outcome == "tip" and list(found.figures["fields"]) == ["amount"]
    assert found.figures["fields"]["amount"]["psi"] > 1


def test_a_field_with_one_value() -> None:
    columns = {**loans(), "age": [30] * 2000}
    assert run("DATA-CONSTANT", SPEC, columns).outcome == "issue"  # a feature reads it
    beside = with_fields(
        {"shop": {"type": "integer"}, "note": {"type": "text", "missing": "unknown"}}
    )
    found = run("DATA-CONSTANT", beside, {**loans(), "shop": [1] * 2000, "note": [None] * 2000})
    assert found.outcome == "tip" and set(found.figures["fields"]) == {"shop", "note"}


def test_a_value_that_is_one_value_where_it_is_known_says_something() -> None:
    columns = {**loans(), "channel": ["app" if row % 2 else None for row in range(2000)]}
    assert run("DATA-CONSTANT", SPEC, columns).outcome == "passed"


def test_a_category_that_no_fit_row_has() -> None:
    columns = loans()
    columns["channel"] = ["app"] * 1700 + ["phone"] * 300
    found = run("DATA-UNSEEN", SPEC, columns)
    assert found.outcome == "issue" and found.figures["fields"]["channel"]["values"] == ["phone"]
    assert found.figures["fields"]["channel"]["share"]["mean"] == 0.75
    assert run("DATA-UNSEEN", SPEC, loans()).outcome == "passed"


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        ([1] * 500, "issue"),
        ([0] * 500, "issue"),
        ([1] * 9 + [0] * 491, "insufficient data"),
        ([0, 1] * 200 + [0] * 100, "issue"),  # none in the test part
        ([0, 1] * 250, "passed"),
    ],
)
def test_labels_of_one_class(labels: list[int], outcome: str) -> None:
    found = run("DATA-ONE-CLASS", SPEC, {**loans(500), "defaulted": labels})
    assert (found.outcome, found.severity) == (outcome, "high")


def test_a_base_rate_that_moves() -> None:
    source = np.random.default_rng(0)
    steady = (source.random(2000) < 0.1).astype(int).tolist()
    rising = (source.random(2000) < np.linspace(0.02, 0.3, 2000)).astype(int).tolist()
    assert run("DATA-BASE-RATE", SPEC, {**loans(), "defaulted": steady}).outcome == "passed"
    found = run("DATA-BASE-RATE", SPEC, {**loans(), "defaulted": rising})
    assert found.outcome == "tip"
    parts = found.figures["parts"]
    assert parts["fit"]["mean"] < parts["validation"]["mean"] < parts["test"]["mean"]


FAULTS = {
    "by_chance": "computed again",
    "scaled_by_the_batch": "each row alone",
    "by_the_row_before": "in another order",
    "by_hash": "in another process",
    "by_time_zone": "in another process",
    "by_day_of_the_clock": "in another process",
    "by_year_day": "in another process",
    "by_environment": "in another process",
    "in_single_precision": "each row alone",
}
AGE_FIRST = with_features({"rate": {"type": "number"}}, rate={"kind": "number", "of": "rate"})


def rated() -> dict[str, Any]:
    return {**loans(300), "rate": np.random.default_rng(0).normal(size=300).tolist()}


@pytest.mark.parametrize("name", FAULTS)
def test_features_that_do_not_keep_still_are_caught(name: str) -> None:
    compute = getattr(faulty_computes, name)
    found = run("DATA-NONDETERMINISTIC", AGE_FIRST, rated(), compute=compute)
    assert found.outcome == "issue"
    assert found.figures["differing_rows"][FAULTS[name]]["amount"] > 0
    if name != "in_single_precision":  # the others change one feature alone
        assert set(found.figures["differing_rows"][FAULTS[name]]) == {"amount"}


def test_features_that_keep_still() -> None:
    found = run("DATA-NONDETERMINISTIC", AGE_FIRST, rated(), compute=faulty_computes.honest)
    assert found.outcome == "passed" and found.figures["in_another_process"]


def test_features_that_no_other_process_can_import_are_not_passed() -> None:
    def local(*asked: Any) -> Any:
        return faulty_computes.honest(*asked)

    found = run("DATA-NONDETERMINISTIC", AGE_FIRST, rated(), compute=local)
    assert found.outcome == "tip" and not found.figures["in_another_process"]


def test_features_that_cannot_be_computed() -> None:
    found = run("DATA-NONDETERMINISTIC", AGE_FIRST, rated(), compute=faulty_computes.broken)
    assert found.outcome == "issue" and "KeyError" in found.evidence
