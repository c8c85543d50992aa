"""What events say at a moment: windows to the microsecond, both times, and no order of arrival."""

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.entity_features import EntityEvent, admit_values, aggregate, features_at, history_of
from core.errors import InvalidRequest
from core.spec import parse_spec
from tests.fakes.entity_decision import DECISION

SPEC = parse_spec(DECISION)
CUSTOMER = SPEC.entities["customer"]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def paid(
    id: str,
    ago: timedelta,
    amount: float | None = 10.0,
    known: timedelta | None = None,
    **values: Any,
) -> EntityEvent:
    return EntityEvent(
        entity="c",
        id=id,
        kind="payment",
        happened_at=AT - ago,
        known_at=AT - (ago if known is None else known),
        values={"amount": amount, **values},
    )


def at(*events: EntityEvent, moment: datetime = AT) -> dict[str, float | None]:
    return aggregate(CUSTOMER, history_of(CUSTOMER, events), moment)


def test_worked_by_hand() -> None:
    login = EntityEvent(
        entity="c",
        id="l",
        kind="login",
        happened_at=AT - timedelta(hours=36),
        known_at=AT,
        values={},
    )
    told = at(
        paid("a", timedelta(days=29), 10.0, fee=1.0),
        paid("b", timedelta(days=6), 30.0, fee=2.0),
        paid("c", timedelta(days=1), 20.0, fee=None),
        paid("d", timedelta(days=80), 99.0, fee=4.0),
        login,
    )
    assert told == {
        "payments_30d": 3,
        "spent_30d": 60,
        "mean_7d": 25,
        "least_30d": 10,
        "most_30d": 30,
        "last_fee": 2,  # the newest payment left its fee unknown
        "days_since_login": 1.5,
    }


def test_nothing_told_is_no_event_and_nobody_is_unknown() -> None:
    nothing = at()
    assert nothing["payments_30d"] == 0 and nothing["spent_30d"] == 0
    assert nothing["mean_7d"] is None and nothing["days_since_login"] is None
    watermark = 2**60
    assert set(features_at(CUSTOMER, None, watermark, AT).values()) == {None}


@pytest.mark.parametrize(
    ("ago", "counts"),
    [
        (timedelta(0), 1),
        (-MICROSECOND, 0),
        (timedelta(days=30) - MICROSECOND, 1),
        (timedelta(days=30), 0),
    ],
)
def test_the_window_is_open_at_its_start_and_closed_at_its_end(ago: timedelta, counts: int) -> None:
    assert at(paid("a", ago))["payments_30d"] == counts


@pytest.mark.parametrize(("known", "counts"), [(timedelta(0), 1), (-MICROSECOND, 0)])
def test_what_was_told_later_did_not_count_then(known: timedelta, counts: int) -> None:
    event = paid("a", timedelta(days=3), known=known)
    assert at(event)["payments_30d"] == counts
    assert at(event, moment=AT + timedelta(hours=1))["payments_30d"] == 1


AMOUNTS = st.none() | st.floats(-1e12, 1e12)
TOLD = st.lists(
    st.tuples(st.integers(-3, 40), st.integers(-3, 40), AMOUNTS, st.none() | st.floats(0, 9)),
    max_size=12,
)


@given(TOLD, st.randoms())
def test_against_a_plain_loop_in_any_order(told: list[Any], shuffling: Any) -> None:
    events = [
        paid(f"{n:03d}", timedelta(days=ago), amount, timedelta(days=known), fee=fee)
        for n, (ago, known, amount, fee) in enumerate(told)
    ]
    seen = [e for e in events if e.known_at <= AT and e.happened_at <= AT]
    amounts = {
        days: [
            float(str(e.values["amount"]))
            for e in seen
            if e.happened_at > AT - timedelta(days=days) and e.values["amount"] is not None
        ]
        for days in (7, 30)
    }
    fees = sorted(
        (e.happened_at, e.known_at, e.id, e.values["fee"])
        for e in seen
        if e.values["fee"] is not None
    )
    shuffling.shuffle(events)
    found = at(*events)
    recent = [e for e in seen if e.happened_at > AT - timedelta(days=30)]
    assert found["payments_30d"] == len(recent)
    # The exact sum, rounded once: what fsum promises.
    assert found["spent_30d"] == float(sum(map(Fraction, amounts[30]), Fraction(0)))
    assert found["least_30d"] == min(amounts[30], default=None)
    assert found["most_30d"] == max(amounts[30], default=None)
    mean = math.fsum(amounts[7]) / len(amounts[7]) if amounts[7] else None
    assert found["mean_7d"] == mean
    assert found["last_fee"] == (fees[-1][-1] if fees else None)


def test_zones_are_only_another_way_to_write_a_moment() -> None:
    event = paid("a", timedelta(days=30) - MICROSECOND)
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert at(event, moment=elsewhere) == at(event)


def test_a_feed_that_stopped_says_nothing() -> None:
    history = history_of(CUSTOMER, [paid("a", timedelta(days=3))])
    newest = round((AT - timedelta(hours=48)).timestamp() * 1e6)
    assert features_at(CUSTOMER, history, newest, AT)["payments_30d"] == 1
    assert features_at(CUSTOMER, history, newest - 1, AT)["payments_30d"] is None
    assert features_at(CUSTOMER, history, None, AT)["payments_30d"] is None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"amount": None},
        {"amount": -1},
        {"amount": "1"},
        {"amount": 1e300},
        {"amount": 1, "x": 1},
    ],
)
def test_values_are_as_declared(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        admit_values("payment", CUSTOMER.events["payment"], values)
    assert caught.value.code == "RUNG-EVENT-VALUES"


def test_texts_of_events_are_redacted() -> None:
    told = admit_values(
        "payment", CUSTOMER.events["payment"], {"amount": 1, "shop": "a@example.com"}
    )
    assert told == {"amount": 1.0, "fee": None, "shop": "<email>"}
