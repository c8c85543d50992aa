"""Work to be done later: the ledger in the database is the truth, a broker only wakes workers."""

from core.jobs.dispatcher import Dispatcher, Sender
from core.jobs.ledger import Job, JobLedger, JobState, Swept, enqueue
from core.jobs.outbox import Message, Outbox

__all__ = [
    "Dispatcher",
    "Job",
    "JobLedger",
    "JobState",
    "Message",
    "Outbox",
    "Sender",
    "Swept",
    "enqueue",
]
