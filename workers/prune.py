"""Forgets index versions that nobody will load again, and the files that only they held."""

from core.artifacts import ArtifactStore
from core.settings import Settings
from core.store import Store

KEPT = 3  # of each corpus and embedder: the one in force, and two to look back at


def prune_corpora(settings: Settings, store: Store) -> int:
    """What a trained version was judged with stays, so that it can be reproduced. Returns the
    number of artifacts that are gone."""
    artifacts = ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())
    gone = 0
    for tenant_id, old in store.forget_indexes(keep=KEPT).items():
        gone += artifacts.remove(tenant_id, old)
    return gone
