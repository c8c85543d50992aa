"""Work to be done later: the ledger in the database is the truth, a broker only wakes workers."""

from core.jobs.dispatcher import Dispatcher, Sender
from core.jobs.job import Job, JobState
from core.jobs.ledger import JobLedger, Swept, enqueue
from core.jobs.outbox import Message, Outbox
from core.jobs.schedules import Schedule, Schedules

__all__ = [
    "Dispatcher",
    "Job",
    "JobLedger",
    "JobState",
    "Message",
    "Outbox",
    "Schedule",
    "Schedules",
    "Sender",
    "Swept",
    "enqueue",
]
