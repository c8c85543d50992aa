"""What a server and a worker forget from time to time: rows of what is over long ago."""

from core.jobs.ledger import JobLedger
from core.jobs.outbox import Outbox
from core.store import DatabaseBudget, Store


def prune_old(store: Store) -> int:
    """In bounded transactions; any number of processes may do it at once. Closes reservations of
    money that a dead process left, too. Returns the number of rows."""
    return sum(
        (
            Outbox(store).prune(),
            JobLedger(store).prune(),
            store.prune_idempotency(),
            store.prune_scores(),
            DatabaseBudget(store, per_day={}).sweep(),
        )
    )
