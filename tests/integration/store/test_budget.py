"""Money: whatever happens at once, a day never spends more than it may."""

import threading

import pytest

from core.errors import Unavailable
from core.money import BudgetExceeded, BudgetLedger, Micros
from core.store import DatabaseBudget, Store
from tests.fakes.clock import FixedClock


def budget_of(store: Store, amount: float = 1.0) -> DatabaseBudget:
    return DatabaseBudget(store, per_day={"support": amount})


def reserve(budget: BudgetLedger, amount: int, tenant: str = "acme") -> str:
    return budget.reserve(tenant_id=tenant, decision="support", amount=Micros(amount))


def test_reserved_settled_and_released(store: Store) -> None:
    budget = budget_of(store)
    first, second = reserve(budget, 600_000), reserve(budget, 400_000)
    with pytest.raises(BudgetExceeded) as caught:
        reserve(budget, 1)
    assert caught.value.status == 429
    assert budget.spent_today("acme", "support") == 1_000_000
    budget.release(first)
    budget.settle(second, Micros(450_000))
    assert budget.spent_today("acme", "support") == 450_000
    for _ in range(2):
        budget.settle(first, Micros(9))
        budget.release(second)
    assert budget.spent_today("acme", "support") == 450_000
    reserve(budget, 550_000)
    with pytest.raises(BudgetExceeded):
        reserve(budget, 1)


def test_tenants_decisions_and_days_are_apart(store: Store, clock: FixedClock) -> None:
    budget = DatabaseBudget(store, per_day={"support": 1.0, "billing": 2.0})
    reserve(budget, 1_000_000)
    reserve(budget, 1_000_000, "other")
    budget.reserve(tenant_id="acme", decision="billing", amount=Micros(2_000_000))
    with pytest.raises(BudgetExceeded):
        reserve(budget, 1)
    clock.advance(hours=12)  # from noon to midnight, UTC
    reserve(budget, 1_000_000)


def test_a_decision_without_a_budget_may_spend_nothing(store: Store) -> None:
    budget = budget_of(store)
    with pytest.raises(BudgetExceeded):
        budget.reserve(tenant_id="acme", decision="unknown", amount=Micros(1))
    with pytest.raises(ValueError, match="no amount"):
        reserve(budget, -1)
    with pytest.raises(ValueError, match="no amount"):
        budget.settle(reserve(budget, 1), Micros(-1))


def test_many_at_once_never_pass_the_limit(store: Store) -> None:
    budgets = [budget_of(store) for _ in range(8)]
    granted: list[str] = []
    together = threading.Barrier(len(budgets))

    def spend(budget: DatabaseBudget) -> None:
        together.wait()
        for _ in range(10):
            try:
                granted.append(reserve(budget, 30_000))
            except BudgetExceeded:
                return

    threads = [threading.Thread(target=spend, args=[budget]) for budget in budgets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 1_000_000 // 30_000
    assert budgets[0].spent_today("acme", "support") == 990_000


def test_what_was_never_closed_counts_as_spent(store: Store, clock: FixedClock) -> None:
    budget = budget_of(store)
    lost = reserve(budget, 700_000)
    clock.advance(hours=12, minutes=59)  # the next day, within the grace
    assert budget.sweep() == 0
    settled = reserve(budget, 100_000)
    clock.advance(minutes=2)
    assert budget.sweep() == 1
    budget.release(lost)
    budget.settle(settled, Micros(100_000))
    assert budget.spent_today("acme", "support") == 100_000
    clock.advance(hours=-13)
    assert budget.spent_today("acme", "support") == 700_000


def test_a_database_that_is_gone_grants_nothing(clock: FixedClock, tmp_path: object) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/rung.db", clock)
    budget = budget_of(store)
    with store.writing() as connection:
        connection.exec_driver_sql("DROP TABLE budget_days")
    with pytest.raises(Unavailable):
        reserve(budget, 1)
    store.close()
