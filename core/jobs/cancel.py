"""Calls a job off with what that means for its kind, in one transaction."""

from sqlalchemy import Connection

from core.jobs.corpus_jobs import EMBED, documents_of_job
from core.jobs.job import Job
from core.jobs.ledger import JobLedger
from core.store.documents import mark_failed

REASON = "its job was cancelled"


def cancel_job(ledger: JobLedger, tenant_id: str, job_id: str) -> Job:
    """Raises NotFound, and Conflict where it is over already."""
    return ledger.cancel(tenant_id, job_id, _leaves)


def _leaves(connection: Connection, job: Job) -> None:
    """Documents that nobody will embed are told as failed: sent again, they are taken again."""
    if job.kind == EMBED:
        mark_failed(connection, job.tenant_id, documents_of_job(job.payload), REASON)
