"""What a tenant's decision may still spend today, held by the database across processes."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, select, update

from core.money import BudgetExceeded, Micros, to_micros
from core.store.base import Base, insert_new
from core.store.tables import budget_days, budget_reservations

# A call that began before midnight ends within its deadline, far below an hour after it.
GRACE = timedelta(hours=1)


class DatabaseBudget:
    """The BudgetLedger of core.money. `per_day` is each decision's budget in its currency.

    Closed for money: a decision without a budget may spend nothing, and a database that does not
    answer raises Unavailable. Days are those of UTC.
    """

    def __init__(self, store: Base, *, per_day: Mapping[str, float]) -> None:
        self._store = store
        self._limits = {decision: to_micros(amount) for decision, amount in per_day.items()}

    def reserve(self, *, tenant_id: str, decision: str, amount: Micros) -> str:
        """Raises BudgetExceeded, leaving the ledger as it was."""
        if amount < 0:
            raise ValueError(f"no amount of money: {amount}")
        day = self._store.now().toordinal()
        reservation = secrets.token_hex(16)
        row = {"tenant_id": tenant_id, "decision": decision, "day": day}
        with self._store.writing() as connection:
            insert_new(connection, budget_days, {**row, "spent": 0, "reserved": 0})
            days = budget_days.c
            # The condition and the addition are one statement, so two cannot both fit the rest.
            fits = days.spent + days.reserved + amount <= self._limits.get(decision, 0)
            reserving = (
                update(budget_days)
                .where(_day(tenant_id, decision, day) & fits)
                .values(reserved=days.reserved + amount)
            )
            if connection.execute(reserving).rowcount != 1:
                raise BudgetExceeded(tenant_id=tenant_id, decision=decision, amount=amount)
            connection.execute(
                budget_reservations.insert().values(id=reservation, amount=amount, **row)
            )
        return reservation

    def settle(self, reservation: str, actual: Micros) -> None:
        if actual < 0:
            raise ValueError(f"no amount of money: {actual}")
        with self._store.writing() as connection:
            _close(connection, budget_reservations.c.id == reservation, actual)

    def release(self, reservation: str) -> None:
        self.settle(reservation, Micros(0))

    def spent_today(self, tenant_id: str, decision: str) -> Micros:
        """Settled and reserved together: what cannot be spent any more."""
        day = self._store.now().toordinal()
        counted = budget_days.c.spent + budget_days.c.reserved
        with self._store.reading() as connection:
            statement = select(counted).where(_day(tenant_id, decision, day))
            return Micros(connection.execute(statement).scalar() or 0)

    def sweep(self) -> int:
        """Counts as spent what was reserved on a day now over and never closed: its process died,
        and the call may have been made. Returns their number."""
        today = (self._store.now() - GRACE).toordinal()
        with self._store.writing() as connection:
            return _close(connection, budget_reservations.c.day < today, None)


def _close(connection: Connection, which: ColumnElement[bool], actual: Micros | None) -> int:
    """Whoever deletes the reservation closes it, so that closing twice changes nothing."""
    closing = delete(budget_reservations).where(which).returning(budget_reservations)
    rows: list[Any] = list(connection.execute(closing))
    for row in rows:
        days = budget_days.c
        connection.execute(
            update(budget_days)
            .where(_day(row.tenant_id, row.decision, row.day))
            .values(
                reserved=days.reserved - row.amount,
                spent=days.spent + (row.amount if actual is None else actual),
            )
        )
    return len(rows)


def _day(tenant_id: str, decision: str, day: int) -> ColumnElement[bool]:
    days = budget_days.c
    return (days.tenant_id == tenant_id) & (days.decision == decision) & (days.day == day)
