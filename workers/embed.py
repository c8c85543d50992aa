"""Embeds a corpus: the job is claimed, the index built, and made current as the job is done."""

import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Connection

from core.contracts import Json
from core.errors import Conflict, RungError
from core.jobs import Job, JobLedger
from core.store import Store
from core.store.indexes import add_index

KIND = "embed_corpus"
LEASE = timedelta(seconds=60)  # renewed while the work goes on; a dead worker's job waits so long
LOG = logging.getLogger("rung.workers")


class IndexBuilder(Protocol):
    def build(self, *, tenant_id: str, documents: str) -> str:
        """The id of the index artifact of the artifact `documents`; the same for the same."""
        ...


def enqueue_embed(store: Store, tenant_id: str, decision: str, corpus: str, documents: str) -> str:
    """The job's id; that of the open job where the same documents wait already."""
    payload: dict[str, Json] = {"decision": decision, "corpus": corpus, "documents": documents}
    content = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    return JobLedger(store).enqueue(tenant_id, KIND, payload, content)


class EmbedCorpus:
    """Safe to run any number of times: only the last claim of a job can finish it."""

    def __init__(self, store: Store, builder: IndexBuilder, *, lease: timedelta = LEASE) -> None:
        self._store = store
        self._ledger = JobLedger(store)
        self._builder = builder
        self._lease = lease

    def __call__(self, tenant_id: str, job_id: str) -> None:
        job = self._ledger.claim(tenant_id, job_id, self._lease)
        if job is None:
            return
        try:
            with _renewed(self._ledger, job, self._lease):
                index = self._builder.build(
                    tenant_id=tenant_id, documents=str(job.payload["documents"])
                )
            self._ledger.finish(job, lambda connection: self._publish(connection, job, index))
        except Conflict as error:
            LOG.warning("job %s: %s", job_id, error)
        except RungError as error:
            self._fail(job, str(error), retry=error.retryable)
        except Exception as error:  # whatever a library raises: the job must say why it failed
            LOG.exception("job %s failed", job_id)
            self._fail(job, f"{type(error).__name__}: {error}", retry=True)

    def _publish(self, connection: Connection, job: Job, index: str) -> None:
        decision, corpus = str(job.payload["decision"]), str(job.payload["corpus"])
        add_index(connection, job.tenant_id, decision, corpus, index, self._store.now())

    def _fail(self, job: Job, reason: str, *, retry: bool) -> None:
        try:
            state = self._ledger.fail(job, reason, retry=retry)
            LOG.warning("job %s is %s again after: %s", job.id, state, reason)
        except RungError as error:
            # The lease ends by itself, and the sweeper does the rest.
            LOG.warning("job %s could not be given back: %s", job.id, error)


@contextmanager
def _renewed(ledger: JobLedger, job: Job, lease: timedelta) -> Iterator[None]:
    """Keeps the claim while the work goes on, from a thread that dies with the process."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(lease.total_seconds() / 3):
            try:
                ledger.renew(job, lease)
            except Conflict:
                return  # lost: finish will say so
            except RungError as error:
                LOG.warning("job %s: its lease could not be renewed: %s", job.id, error)

    thread = threading.Thread(target=beat, name=f"lease of {job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
