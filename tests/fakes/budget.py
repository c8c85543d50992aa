"""A budget ledger in memory that keeps every entry for a test to look at."""

import threading
from dataclasses import dataclass, field
from typing import Literal

from core.money import BudgetExceeded, Micros

AMPLE = Micros(10**12)


@dataclass(kw_only=True)
class Entry:
    tenant_id: str
    decision: str
    reserved: Micros
    actual: Micros | None = None
    state: Literal["reserved", "settled", "released"] = "reserved"


@dataclass(kw_only=True)
class MemoryBudget:
    """One budget for each (tenant, decision); a day never ends."""

    limit: Micros = AMPLE
    entries: dict[str, Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reserve(self, *, tenant_id: str, decision: str, amount: Micros) -> str:
        with self._lock:
            if self._counted(tenant_id, decision) + amount > self.limit:
                raise BudgetExceeded(tenant_id=tenant_id, decision=decision, amount=amount)
            reservation = f"r{len(self.entries) + 1}"
            self.entries[reservation] = Entry(
                tenant_id=tenant_id, decision=decision, reserved=amount
            )
            return reservation

    def settle(self, reservation: str, actual: Micros) -> None:
        with self._lock:
            entry = self.entries[reservation]
            if entry.state == "reserved":
                entry.state, entry.actual = "settled", actual

    def release(self, reservation: str) -> None:
        with self._lock:
            entry = self.entries[reservation]
            if entry.state == "reserved":
                entry.state = "released"

    @property
    def states(self) -> list[str]:
        return [entry.state for entry in self.entries.values()]

    @property
    def spent(self) -> int:
        return sum(entry.actual or 0 for entry in self.entries.values())

    def _counted(self, tenant_id: str, decision: str) -> int:
        return sum(
            entry.actual or 0 if entry.state == "settled" else entry.reserved
            for entry in self.entries.values()
            if (entry.tenant_id, entry.decision) == (tenant_id, decision)
            and entry.state != "released"
        )


class BrokenBudget:
    """A ledger whose database is gone."""

    def reserve(self, *, tenant_id: str, decision: str, amount: Micros) -> str:
        raise OSError("the database is gone")

    def settle(self, reservation: str, actual: Micros) -> None:
        raise OSError("the database is gone")

    def release(self, reservation: str) -> None:
        raise OSError("the database is gone")
