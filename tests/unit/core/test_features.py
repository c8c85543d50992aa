"""Features: one row is the batch of one, and no other row, clock or time zone matters."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.features import FeatureSpec, compute, digest

FEATURES = {
    "amount": FeatureSpec(kind="number", of="amount"),
    "size": FeatureSpec(kind="log1p", of="amount"),
    "unknown": FeatureSpec(kind="missing", of="amount"),
    "hour": FeatureSpec(kind="hour", of="at"),
    "day": FeatureSpec(kind="weekday", of="at"),
    "relative": FeatureSpec(kind="ratio", of=("amount", "usual")),
    "abroad": FeatureSpec(kind="differs", of=("country", "home")),
    "country": FeatureSpec(kind="category", of="country"),
    "length": FeatureSpec(kind="length", of="text"),
}
CATEGORIES = {"country": ("de", "fr", "nl")}

ROWS = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(-1e9, 1e9),
        "usual": st.none() | st.sampled_from([0.0, 10.0, 25.5]),
        "at": st.none() | st.sampled_from(["2026-03-01T23:30:00+00:00", "2026-03-02T01:30+02:00"]),
        "country": st.none() | st.sampled_from(["de", "fr", "nl"]),
        "home": st.none() | st.sampled_from(["de", "fr"]),
        "text": st.none() | st.text(max_size=20),
    }
)


def test_worked_by_hand() -> None:
    row = {
        "amount": 50.0,
        "usual": 25.0,
        "at": "2026-03-02T01:30:00+02:00",
        "country": "fr",
        "home": "de",
        "text": "four",
    }
    matrix = compute(FEATURES, [row], CATEGORIES)
    # 01:30 at +02:00 is 23:30 UTC of the day before, 1 March 2026, a Sunday.
    assert matrix[0].tolist() == [50, np.log1p(50), 0, 23, 6, 2, 1, 1, 4]


@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_row_alone_gives_the_bytes_it_gives_in_the_batch(rows: list[dict[str, object]]) -> None:
    batch = compute(FEATURES, rows, CATEGORIES)  # type: ignore[arg-type]
    for place, row in enumerate(rows):
        alone = compute(FEATURES, [row], CATEGORIES)  # type: ignore[list-item]
        assert alone[0].tobytes() == batch[place].tobytes()


def test_the_time_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"at": "2026-03-01T23:30:00+00:00"}
    digests = set()
    before = os.environ.get("TZ")
    for zone in ("UTC", "Asia/Tokyo", "America/Lima"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        digests.add(digest(list(FEATURES), compute(FEATURES, [row], CATEGORIES)[0]))
    monkeypatch.undo()
    time.tzset()
    assert os.environ.get("TZ") == before
    assert len(digests) == 1


def test_what_is_unknown_is_nan_and_a_ratio_to_zero_too() -> None:
    matrix = compute(FEATURES, [{"amount": 3.0, "usual": 0.0}], CATEGORIES)
    told = dict(zip(FEATURES, matrix[0], strict=True))
    assert np.isnan([told[name] for name in ("hour", "day", "relative", "abroad", "country")]).all()
    assert told["unknown"] == 0


def test_another_value_gives_another_digest() -> None:
    one = digest(["a", "b"], np.array([1.0, 2.0]))
    assert one != digest(["a", "b"], np.array([1.0, 2.0000001]))
    assert one != digest(["ab", ""], np.array([1.0, 2.0]))


def test_a_kind_needs_its_number_of_fields() -> None:
    with pytest.raises(ValidationError, match="of 2 field"):
        FeatureSpec(kind="ratio", of="amount")
