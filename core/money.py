"""Money in whole millionths of the currency, and the ledger that every paid call asks first."""

from decimal import ROUND_CEILING, Decimal
from typing import ClassVar, NewType, Protocol

from core.errors import RungError

# Integers add up exactly in every database, where SQLite would keep a Decimal as a float; 64 bits
# hold nine trillion of a currency. A call costs some hundred micros, so rounding up is below 1 %.
Micros = NewType("Micros", int)

FREE = Micros(0)
_ONE = 1_000_000


def to_micros(amount: Decimal | float) -> Micros:
    """Rounded up: what is recorded is never less than what was spent.

    Raises ValueError where `amount` is negative or not finite.
    """
    exact = Decimal(str(amount))  # str: 0.3 is meant, not the binary fraction next to it
    if not exact.is_finite() or exact < 0:
        raise ValueError(f"no amount of money: {amount}")
    return Micros(int((exact * _ONE).to_integral_value(ROUND_CEILING)))


def to_amount(micros: Micros) -> Decimal:
    """In units of the currency."""
    return Decimal(micros) / _ONE


class BudgetExceeded(RungError):
    """The day's budget of a decision would be passed."""

    status: ClassVar[int] = 429

    def __init__(self, *, tenant_id: str, decision: str, amount: Micros) -> None:
        super().__init__(
            "RUNG-BUDGET-EXCEEDED",
            f"another {to_amount(amount)} would pass today's budget of {decision}",
            way_out="Raise the decision's price budget, or wait for the next day.",
        )
        self.tenant_id = tenant_id
        self.decision = decision


class BudgetLedger(Protocol):
    """What a tenant's decision may still spend today. Closed: in doubt, money counts as spent.

    The methods block and are safe to call from several threads and processes. A reservation that
    is never closed, because its process died, stays counted until its day is over.
    """

    def reserve(self, *, tenant_id: str, decision: str, amount: Micros) -> str:
        """The id of a reservation. Raises BudgetExceeded, leaving the ledger as it was, where
        spent + reserved + `amount` would pass the day's budget."""
        ...

    def settle(self, reservation: str, actual: Micros) -> None:
        """Close it as spent. `actual` may be above what was reserved; closing twice changes
        nothing."""
        ...

    def release(self, reservation: str) -> None:
        """Close it as not spent; closing twice changes nothing."""
        ...
