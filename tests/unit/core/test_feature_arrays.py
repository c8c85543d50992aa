"""Features of arrays have the bits of the same features of lists."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.features import FeatureSpec, compute_columns, digest, digests

FEATURES = {
    "number": FeatureSpec(kind="number", of="a"),
    "log1p": FeatureSpec(kind="log1p", of="a"),
    "missing": FeatureSpec(kind="missing", of="b"),
    "no_time": FeatureSpec(kind="missing", of="at"),
    "hour": FeatureSpec(kind="hour", of="at"),
    "weekday": FeatureSpec(kind="weekday", of="at"),
    "ratio": FeatureSpec(kind="ratio", of=("a", "b")),
    "differs": FeatureSpec(kind="differs", of=("a", "b")),
    "category": FeatureSpec(kind="category", of="c"),
}
CATEGORIES = {"c": ("x", "y", "z")}
NUMBERS = (
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0])
)
MOMENTS = st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
ROWS = st.lists(
    st.tuples(NUMBERS, NUMBERS, MOMENTS, st.none() | st.sampled_from("xyz")), min_size=1
)


def array(values: Any) -> Any:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


@given(ROWS)
def test_the_same_bits(rows: list[tuple[Any, ...]]) -> None:
    a, b, at, c = (list(column) for column in zip(*rows, strict=True))
    zoned = [None if one is None else f"{one.isoformat()}+00:00" for one in at]
    listed = {"a": a, "b": b, "at": zoned, "c": c}
    places = array([None if one is None else "xyz".index(one) for one in c])
    moments = np.array(at, dtype="datetime64[us]")
    columns = {"a": array(a), "b": array(b), "at": moments, "c": places}
    before = {name: column.copy() for name, column in columns.items()}
    with np.errstate(all="ignore"):
        one = compute_columns(FEATURES, listed, len(rows), CATEGORIES)
        other = compute_columns(FEATURES, columns, len(rows), CATEGORIES)
    assert one.tobytes() == other.tobytes()
    for name, column in columns.items():  # nothing that was handed over has changed
        assert column.tobytes() == before[name].tobytes()
    assert digests([*FEATURES, ""], other) == [digest([*FEATURES, ""], row) for row in one]


def test_an_hour_before_1970() -> None:
    moment = datetime(1969, 12, 31, 23, 59) - timedelta(days=7)
    columns = {"at": np.array([moment], dtype="datetime64[us]")}
    spec = {name: FEATURES[name] for name in ("hour", "weekday")}
    assert compute_columns(spec, columns, 1, {})[0].tolist() == [23, moment.weekday()]
