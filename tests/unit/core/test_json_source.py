"""JSON from outside: what Python's own parser lets through is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidDocument
from core.json_source import parse_json, parse_json_lines

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab\u00e9\n"', max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        '{"a": Infinity}',
        '{"a": 1, "a": 2}',
        '"\\ud800"',
        b"\xff\xfe{",
        "[" * 100_000,
        "[" * 40 + "]" * 40,
        '{"a":' * 33 + "1" + "}" * 33,
        "1" * 5000,
        "1e999",
    ],
)
def test_what_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_json(text, line=7)
    assert (caught.value.code, caught.value.line) == ("RUNG-JSON-SYNTAX", 7)


@given(PLAIN)
def test_plain_json_comes_through(value: object) -> None:
    import json

    assert parse_json(json.dumps(value)) == value


def test_lines_are_numbered_and_blank_ones_left_out() -> None:
    assert list(parse_json_lines('{"a": 1}\n\n2\n')) == [(1, {"a": 1}), (3, 2)]
