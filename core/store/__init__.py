"""What must outlive a process, on SQLite or PostgreSQL; every row belongs to a tenant."""

from core.store.budget import DatabaseBudget
from core.store.decisions import StoredDecision
from core.store.idempotency import Claim, Replay
from core.store.registry import NewVersion, Version
from core.store.review_item import Candidate, ReviewEvent, ReviewItem
from core.store.store import Store

__all__ = [
    "Candidate",
    "Claim",
    "DatabaseBudget",
    "NewVersion",
    "Replay",
    "ReviewEvent",
    "ReviewItem",
    "Store",
    "StoredDecision",
    "Version",
]
