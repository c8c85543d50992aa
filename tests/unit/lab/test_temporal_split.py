"""The split by time: parts follow one another, and no label is used before it was known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidDocument
from core.spec import DecisionSpec
from lab.temporal_split import DAY, moments_of, split_rows
from tests.fakes.table_world import table_spec

AT = {"at": {"type": "time"}}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=40, max_size=200),
    st.floats(0, 20),
)
def test_no_row_is_fitted_on_whose_label_was_unknown_then(days: list[int], delay: float) -> None:
    spec = table_spec(label_delay_days=delay, time="at", fields=AT)
    times = np.sort(np.array(days, dtype=np.int64)) * DAY
    try:
        split = split_rows(spec, len(times), times)
    except InvalidDocument as error:
        assert error.code == "RUNG-SPLIT-EMPTY"
        return
    begins = {name: times[getattr(split, name)].min() for name in ("validation", "test")}
    wait = round(delay * DAY)
    assert (times[split.fit] + wait <= begins["validation"]).all()
    assert (times[split.validation] + wait <= begins["test"]).all()
    assert times[split.validation].max() < begins["test"]  # no moment stands on both sides
    used = len(split.fit) + len(split.validation) + len(split.test)
    assert used + split.embargoed == len(times)


def test_rows_by_number_wait_for_so_many_rows() -> None:
    spec = table_spec(time={"row_number": True, "label_delay_rows": 5})
    split = split_rows(spec, 100, None)
    assert (split.fit[-1], split.validation[0], split.validation[-1]) == (55, 60, 75)
    assert split.embargoed == 8
    assert split.cuts == ("60", "80")


def test_a_random_split_is_marked_and_seeded(spec: DecisionSpec) -> None:
    first, again, other = (split_rows(spec, 100, None, kind="random", seed=s) for s in (1, 1, 2))
    assert first.kind == "random"
    assert np.array_equal(first.test, again.test) and not np.array_equal(first.test, other.test)
    assert sorted([*first.fit, *first.validation, *first.test]) == list(range(100))


def test_a_delay_longer_than_the_data_is_refused(spec: DecisionSpec) -> None:
    times = moments_of([f"2025-01-{day:02d}T00:00:00+00:00" for day in range(1, 29)])
    with pytest.raises(InvalidDocument) as caught:
        split_rows(table_spec(label_delay_days=400, time="at", fields=AT), len(times), times)
    assert caught.value.code == "RUNG-SPLIT-EMPTY"


@pytest.fixture
def spec() -> DecisionSpec:
    return table_spec()


def test_the_order_of_time_must_be_declared(spec: DecisionSpec) -> None:
    undeclared = spec.model_copy(update={"request": spec.request.model_copy(update={"time": None})})
    with pytest.raises(InvalidDocument) as caught:
        split_rows(undeclared, 100, None)
    assert caught.value.code == "RUNG-SPLIT-TIME"
    assert split_rows(undeclared, 100, None, kind="random").kind == "random"


def test_days_of_delay_need_rows_where_there_are_no_times() -> None:
    with pytest.raises(ValueError, match="label_delay_rows"):
        table_spec(label_delay_days=3)
    table_spec(label_delay_days=3, time={"row_number": True, "label_delay_rows": 0})
