"""What a corpus must hold after all its jobs: counted from the texts that were sent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from core.artifacts import ArtifactStore
from core.embedding import text_digest
from core.jobs.corpus_jobs import BUILD, EMBED
from core.settings import Settings
from core.store import Store
from core.store.documents import CorpusName, NewDocument
from core.store.tables import documents, jobs, vectors
from rankers.corpora import load_index
from rankers.index import HybridIndex
from tests.fakes.hashing_embedder import HashingEmbedder

WHICH = CorpusName(tenant_id="acme", decision="support", corpus="help")


def corpus_of(count: int) -> tuple[NewDocument, ...]:
    """One paragraph each, so that a document is one chunk; no two texts are the same."""
    return tuple(
        NewDocument(
            id=f"topic-{number % 7}/{number:04}",
            title=f"About case {number}",
            text=f"Case {number} is settled by office {number % 11} within {number % 13} days.",
        )
        for number in range(count)
    )


@dataclass(frozen=True, kw_only=True)
class JobCounts:
    """By state; `most_tries` is of the job that was claimed most often."""

    embed: Mapping[str, int]
    build: Mapping[str, int]
    most_tries: int


def job_counts(store: Store) -> JobCounts:
    counting = select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
    with store.reading() as connection:
        rows = connection.execute(counting).all()
        tries = connection.execute(select(func.max(jobs.c.tries))).scalar_one()
    by_kind = {kind: {state: n for k, state, n in rows if k == kind} for kind in (EMBED, BUILD)}
    return JobCounts(embed=by_kind[EMBED], build=by_kind[BUILD], most_tries=int(tries))


def embedded(store: Store) -> int:
    """How many embed jobs are done."""
    done = (jobs.c.kind == EMBED) & (jobs.c.state == "done")
    with store.reading() as connection:
        return connection.execute(select(func.count()).where(done)).scalar_one()


def current_index(settings: Settings, store: Store) -> HybridIndex:
    fingerprint = HashingEmbedder().fingerprint
    row = store.current_indexes(WHICH.tenant_id, WHICH.decision, fingerprint)[WHICH.corpus]
    artifacts = ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())
    return load_index(artifacts, WHICH.tenant_id, row.artifact_id)


def faults_of(store: Store, index: HybridIndex, sent: Sequence[NewDocument]) -> list[str]:
    """Empty where each document is in the index once, with its vector, and nothing else is."""
    wanted = {document.id: document for document in sent}
    found = Counter(chunk.document for chunk in index.chunks)
    faults = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    faults += [f"{name} was never sent" for name in found.keys() - wanted.keys()]
    faults += [f"{name} is there {times} times" for name, times in found.items() if times > 1]
    for chunk, vector in zip(index.chunks, index.vectors, strict=True):
        document = wanted.get(chunk.document)
        if document and (chunk.title, chunk.text) != (document.title, document.text):
            faults.append(f"{chunk.document} has another text")
        if not np.allclose(vector, HashingEmbedder().encode([chunk.whole])[0], atol=1e-6):
            faults.append(f"{chunk.document} has another vector")
    return sorted(faults) + _faults_of_rows(store, index, wanted)


def _faults_of_rows(
    store: Store, index: HybridIndex, wanted: Mapping[str, NewDocument]
) -> list[str]:
    with store.reading() as connection:
        rows = connection.execute(select(documents.c.document, documents.c.state)).all()
        kept = Counter(connection.execute(select(vectors.c.text_digest)).scalars())
    faults = []
    if Counter(name for name, _ in rows) != Counter(wanted.keys()):
        faults.append(f"{len(rows)} rows of documents")
    faults += [f"the row of {name} is {state}" for name, state in rows if state != "ready"]
    if kept != Counter(text_digest(chunk.whole) for chunk in index.chunks):
        faults.append(f"{len(kept)} vectors are kept")
    return faults
