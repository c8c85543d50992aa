"""Which rows belong to which slice."""

import numpy as np

from lab.slicing import slice_masks
from lab.statistics import judge_slices
from tests.fakes.table_world import table_spec

COLUMNS = {
    "channel": ["app", "app", "web", None],
    "amount": [1.0, 50.0, None, 500.0],
    "age": [20, 30, 40, 50],
}


def masks(*slices: object, **more: object) -> dict[str, list[int]]:
    spec = table_spec(slices=list(slices))
    found = slice_masks(spec, COLUMNS, **more)  # type: ignore[arg-type]
    return {f"{one.name} {one.value}": np.flatnonzero(one.mask).tolist() for one in found}


def test_values_edges_and_what_is_unknown() -> None:
    found = masks("channel", {"name": "size", "of": "amount", "edges": [10, 100]})
    assert found["channel app"] == [0, 1] and found["channel unknown"] == [3]
    assert found["size < 10"] == [0] and found["size >= 10, < 100"] == [1]
    assert found["size >= 100"] == [3] and found["size unknown"] == [2]


def test_what_is_rare_is_settled_by_training() -> None:
    before = {"channel": ["app"] * 97 + ["web"] * 3}
    found = masks({"name": "rare", "of": "channel", "rarer_than": 0.05}, before=before)
    assert (found["rare rare"], found["rare common"]) == ([2, 3], [0, 1])


def test_the_thirds_of_time_are_always_looked_at() -> None:
    assert [rows for name, rows in masks().items() if name.startswith("recency")] == [
        [0, 1],
        [2],
        [3],
    ]


def test_a_critical_value_that_no_row_has_did_not_pass() -> None:
    critical = {"name": "channel", "of": "channel", "critical": True, "bound": 1}
    before = {"channel": ["app", "web", "phone"]}
    spec = table_spec(slices=[critical])
    found = slice_masks(spec, COLUMNS, before=before)
    assert "phone" in [one.value for one in found]
    verdicts = judge_slices(np.zeros(4), found, None)
    phone = next(one for one in verdicts if one.value == "phone")
    assert (phone.n, phone.verdict) == (0, "insufficient data")
