"""Removes what no row leads to any more: old index versions, their files, vectors and tombstones.

The rows are the roots: the last versions of each index that is kept up, and the lineage of every
trained version. What a crash, a lost lease or a training that was stopped left behind is found
like anything else. A vector that goes too soon is embedded again; a file that goes too soon is
lost. So nothing younger than a day goes, and whoever names an artifact in a row has put or kept it
within that day.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from core.artifacts import ArtifactStore
from core.errors import RungError
from core.jobs import JobLedger
from core.jobs.corpus_jobs import ABANDONED, BUILD, EMBED, kept_up, waiting_builds
from core.settings import Settings
from core.store import Store
from core.store.documents import CorpusName, every_corpus, forget_deletions
from core.store.folder_mark import folder_mark
from core.store.indexes import (
    IndexRow,
    forget_indexes,
    judged_index,
    least_through,
    named_indexes,
    newest_of_each,
)
from core.store.vectors import forget_vectors, vector_counts
from rankers.indexed_texts import INDEX, IndexedTexts, indexed_texts

KEPT = 3  # of each corpus and embedder: the one in force, and two that a process may still hold
SETTLED = timedelta(hours=1)  # no process still loads what was replaced so long ago
YOUNG = timedelta(days=1)  # no build and no training takes longer to name what it made
LOG = logging.getLogger("rung.workers")


class Source(NamedTuple):
    """An index that may be searched, and the documents that are hidden from it."""

    row: IndexRow
    hidden: frozenset[str]


class Sweep:
    """Any number of processes may do it at once."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._artifacts = ArtifactStore(
            settings.artifacts, settings.secret.get_secret_value().encode()
        )
        self._done: dict[str, object] = {}  # by tenant: what left no vector to be swept

    def run(self) -> None:
        corpora = every_corpus(self._store)
        for which in corpora:
            with _told(which.tenant_id):
                self._sweep_rows(which)
        for tenant_id in self._artifacts.tenants():
            with _told(tenant_id):
                self._sweep_files(tenant_id)
        for tenant_id, counts in vector_counts(self._store).items():
            own = [which for which in corpora if which.tenant_id == tenant_id]
            with _told(tenant_id):
                self._sweep_vectors(tenant_id, own, counts)

    def _sweep_rows(self, which: CorpusName) -> None:
        now, abandoned = self._store.now(), self._abandoned(which)
        with self._store.writing() as connection:
            settled = now - SETTLED
            forget_indexes(connection, which, keep=KEPT, abandoned=abandoned, before=settled)
            through = least_through(connection, which)
        forget_deletions(self._store, which, through=through, before=now - ABANDONED)

    def _abandoned(self, which: CorpusName) -> set[str]:
        """Embedders that nobody works with: not kept up, none's index registered of late, and not
        the one that the live release was trained with."""
        now = self._store.now()
        with self._store.reading() as connection:
            newest = newest_of_each(connection, which)
            kept = kept_up(newest, waiting_builds(connection, which), now)
            judged = judged_index(connection, which)
        old = (row.fingerprint for row in newest if row.registered_at < now - ABANDONED)
        found = {one for one in old if one is not None and one not in kept}
        if found and judged is not None:
            found -= {indexed_texts(self._artifacts, which.tenant_id, judged).fingerprint}
        return found

    def _sweep_files(self, tenant_id: str) -> None:
        with self._store.reading() as connection:
            named = named_indexes(connection, tenant_id)
        mark = folder_mark(self._store, tenant_id)
        mine = self._artifacts.belongs_to(tenant_id, mark, named=named)
        if mine is False:
            LOG.warning(
                "the artifacts of tenant %s are another database's, so none is swept; if that one "
                "is gone for good, remove the file 'database' from their folder",
                tenant_id,
            )
        if not mine:
            return
        before = self._store.now() - YOUNG
        self._artifacts.sweep(tenant_id, INDEX, named=named, before=before)

    def _sweep_vectors(
        self, tenant_id: str, corpora: list[CorpusName], counts: dict[str, int]
    ) -> None:
        sources = [source for which in corpora for source in self._sources(which)]
        state = {(source.row.seq, source.hidden) for source in sources}
        if self._done.get(tenant_id) == (state, counts):
            return
        held: dict[str, set[str]] = {}
        for source in sources:
            texts = self._texts(tenant_id, source)
            held.setdefault(texts.fingerprint, set()).update(texts.digests)
        before = self._before_open_work(tenant_id)
        left = 0
        for fingerprint in counts:
            loose = forget_vectors(
                self._store,
                tenant_id,
                fingerprint,
                but=held.get(fingerprint, set()),
                before=before,
            )
            counts[fingerprint] -= loose.gone
            left += loose.left
        if not left:
            there = {fingerprint: count for fingerprint, count in counts.items() if count}
            self._done[tenant_id] = (state, there)

    def _sources(self, which: CorpusName) -> Iterator[Source]:
        place = (which.tenant_id, which.decision, which.corpus)
        for row in self._store.indexes_of(*place):
            yield Source(row, self._store.deleted_since(*place, row.deletions_through))

    def _texts(self, tenant_id: str, source: Source) -> IndexedTexts:
        row, hidden = source
        return indexed_texts(self._artifacts, tenant_id, row.artifact_id, hidden=hidden)

    def _before_open_work(self, tenant_id: str) -> datetime:
        """A day ago or, where work that makes vectors takes longer, when that was asked for."""
        now, ledger = self._store.now(), JobLedger(self._store)
        asked = [
            job.created_at for kind in (EMBED, BUILD) for job in ledger.open_jobs(tenant_id, kind)
        ]
        return min([now - YOUNG, *(at for at in asked if at >= now - ABANDONED)])


@contextmanager
def _told(tenant_id: str) -> Iterator[None]:
    """One tenant's broken file is in no other's way."""
    try:
        yield
    except RungError as error:
        LOG.warning("what is old of tenant %s is not swept: %s", tenant_id, error)
