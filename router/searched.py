"""Which index of each corpus answers at present, and which of its documents are gone since."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import NotFound
from core.spec import DecisionSpec
from core.store import Store
from core.store.indexes import IndexRow


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What the corpora of a decision are searched by: the index of each, and what of it is gone."""

    indexes: Mapping[str, IndexRow]  # by corpus
    hidden: Mapping[str, frozenset[str]]  # documents that were deleted since it was built


def searched_now(
    store: Store, tenant_id: str, spec: DecisionSpec, fingerprint: str | None
) -> Searched:
    """The newest of this embedder for each corpus: no other can be asked. Raises NotFound."""
    if fingerprint is None:
        return Searched(indexes={}, hidden={})
    rows = store.current_indexes(tenant_id, spec.name, fingerprint)
    missing = sorted(set(spec.corpora) - set(rows))
    if missing:
        raise NotFound(
            "RUNG-INDEX-MISSING",
            f"the corpus '{missing[0]}' has no index of this embedder yet",
            way_out="Run `rung embed` or train the decision again.",
        )
    return hiding(store, tenant_id, spec.name, {corpus: rows[corpus] for corpus in spec.corpora})


def hiding(
    store: Store, tenant_id: str, decision: str, indexes: Mapping[str, IndexRow]
) -> Searched:
    """These indexes without what has been deleted since each was built."""
    hidden = {
        corpus: store.deleted_since(tenant_id, decision, corpus, row.deletions_through)
        for corpus, row in indexes.items()
    }
    return Searched(indexes=indexes, hidden=hidden)
