"""What was written is read as an equal object, whatever the contract holds."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Decision, NodeTrace, Passage, Verdict
from core.store.codec import from_text, rebuild, to_text
from tests.fakes.decisions import full_decision

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
nodes = st.recursive(
    st.builds(NodeTrace, label=st.text(), truth=st.none() | st.booleans(), note=st.text()),
    lambda inner: st.builds(
        NodeTrace,
        label=st.text(),
        truth=st.none() | st.booleans(),
        children=st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=8,
)


def test_a_decision_survives_with_every_part() -> None:
    decision = full_decision()
    text = to_text(decision)
    assert text.isascii()
    assert rebuild(Decision, from_text(text)) == decision


@given(nodes, st.dictionaries(st.text(), json_values))
def test_nested_traces_and_free_details_survive(
    node: NodeTrace, details: dict[str, object]
) -> None:
    verdict = Verdict(outcomes=("a",), reasons=(), version="1", details=details)  # type: ignore[arg-type]
    assert rebuild(NodeTrace, from_text(to_text(node))) == node
    assert rebuild(Verdict, from_text(to_text(verdict))) == verdict


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_survive_to_the_microsecond(moment: datetime) -> None:
    assert rebuild(datetime, from_text(to_text(moment))) == moment


def test_numbers_of_numpy_become_plain_ones() -> None:
    passage = Passage(document="d", title="", text="", score=np.float32(0.5))  # type: ignore[arg-type]
    again = rebuild(Passage, from_text(to_text(passage)))
    assert again.score == 0.5 and type(again.score) is float


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_does_not_have_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_text({"value": value})
    with pytest.raises(TypeError):
        to_text({"value": timedelta(1)})


def test_a_field_of_a_newer_version_takes_its_default_and_a_removed_one_is_left_out() -> None:
    data = json.loads(to_text(Verdict(outcomes=(), reasons=(), version="1")))
    del data["milliseconds"]
    data["of_old"] = 1
    assert rebuild(Verdict, data) == Verdict(outcomes=(), reasons=(), version="1")
