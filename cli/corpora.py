"""The corpora of a decision's folder: documents, indexes, and what training promotes of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.told import note

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from cli.decision_folder import DecisionFolder
    from cli.home import Home
    from core.embedding import TextEmbedder
    from core.store.documents import NewDocument
    from core.store.indexes import NewIndex
    from rankers.documents import Document, RefusedFile
    from rankers.index import HybridIndex


@dataclass(frozen=True, kw_only=True)
class FolderIndex:
    """The index of exactly these documents."""

    documents: "Sequence[NewDocument]"
    stored: "NewIndex"
    index: "HybridIndex"


def documents_of(folder: "DecisionFolder", corpus: str) -> "tuple[NewDocument, ...]":
    """As the store keeps them. Raises InvalidDocument."""
    return _as_new(folder.documents(corpus))


def readable_documents_of(
    folder: "DecisionFolder", corpus: str
) -> "tuple[tuple[NewDocument, ...], tuple[RefusedFile, ...]]":
    """As the store keeps them, and the files that are none. Raises InvalidDocument where the
    folder cannot be read or holds no file."""
    from rankers.documents import read_folder

    found = read_folder(folder.folder / corpus)
    return _as_new(found.documents), found.refused


def folder_indexes(
    home: "Home", tenant: str, folder: "DecisionFolder", embedder: "TextEmbedder"
) -> dict[str, FolderIndex]:
    """By corpus; the one that a worker has built from these very documents, or a new one."""
    made = {}
    for corpus in folder.spec.corpora:
        documents = documents_of(folder, corpus)
        made[corpus] = _index(home, tenant, folder.spec.name, corpus, documents, embedder)
    return made


def promotion(
    home: "Home", tenant: str, decision: str, indexes: Mapping[str, FolderIndex]
) -> "Callable[[Connection], None]":
    """What is written with a release: the folder's documents, and the indexes it was judged with
    where the corpora hold nothing else."""
    from core.jobs.corpus_jobs import promote_judged
    from core.store.documents import CorpusName

    def write(connection: "Connection") -> None:
        for corpus, made in sorted(indexes.items()):
            which = CorpusName(tenant_id=tenant, decision=decision, corpus=corpus)
            now = home.clock.now()
            home.artifacts.keep(tenant, made.stored.artifact_id)  # else no row may name it
            if not promote_judged(connection, which, made.documents, made.stored, now):
                note(f"corpus {corpus}: it holds other documents too; a worker builds its index")

    return write


def _as_new(documents: "Iterable[Document]") -> "tuple[NewDocument, ...]":
    from core.store.documents import NewDocument

    return tuple(NewDocument(id=one.id, title=one.title, text=one.text) for one in documents)


def _index(
    home: "Home",
    tenant: str,
    decision: str,
    corpus: str,
    documents: "Sequence[NewDocument]",
    embedder: "TextEmbedder",
) -> FolderIndex:
    from core.errors import RungError
    from core.store.indexes import NewIndex
    from rankers.corpora import build_index, chunks_of, holds, load_index, put_verified

    chunks, fingerprint = chunks_of(documents), embedder.fingerprint
    row = home.store.current_indexes(tenant, decision, fingerprint).get(corpus)
    if row is not None:
        try:
            index = load_index(home.artifacts, tenant, row.artifact_id, fingerprint=fingerprint)
        except RungError:
            pass  # lost, or of another version: to be built again
        else:
            if holds(index, chunks):
                home.artifacts.keep(tenant, row.artifact_id)
                note(f"corpus {corpus}: the index is up to date")
                stored = NewIndex(
                    artifact_id=row.artifact_id, fingerprint=fingerprint, report=row.report
                )
                return FolderIndex(documents=documents, stored=stored, index=index)
    built = build_index(chunks, embedder, home.store.vectors(tenant))
    artifact, index, told = put_verified(home.artifacts, tenant, built)
    stored = NewIndex(
        artifact_id=artifact,
        fingerprint=fingerprint,
        report={"documents": len(documents), **told},
    )
    return FolderIndex(documents=documents, stored=stored, index=index)
