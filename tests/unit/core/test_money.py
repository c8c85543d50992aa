"""Micros never tell less than was spent, and add up exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import BudgetExceeded, Micros, to_amount, to_micros

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=9, allow_nan=False)


@given(AMOUNTS)
def test_rounded_up_by_less_than_one_micro(amount: Decimal) -> None:
    above = to_amount(to_micros(amount)) - amount
    assert 0 <= above < Decimal("0.000001")


@given(st.integers(min_value=0, max_value=10**15))
def test_whole_micros_come_back(micros: int) -> None:
    assert to_micros(to_amount(Micros(micros))) == micros


def test_a_float_means_the_decimal_it_shows() -> None:
    assert to_micros(0.3) == 300_000  # the binary fraction is a little more
    assert to_micros(0.1 + 0.2) == 300_001  # and this one shows that it is


@pytest.mark.parametrize("amount", [-0.01, float("nan"), float("inf"), Decimal("-Infinity")])
def test_what_is_no_amount_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="no amount"):
        to_micros(amount)


def test_the_refusal_says_how_much_and_the_way_out() -> None:
    error = BudgetExceeded(tenant_id="acme", decision="support", amount=Micros(1_500))
    assert error.code == "RUNG-BUDGET-EXCEEDED"
    assert "0.0015" in str(error) and "support" in str(error) and error.way_out in str(error)
