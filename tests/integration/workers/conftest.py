"""Every test of the corpus jobs runs on both databases."""

from pathlib import Path

import pytest

from core.store import Store
from tests.fakes.clock import FixedClock
from tests.fakes.corpus_world import CorpusWorld
from tests.integration.store.conftest import clock, postgres_url, store, url

__all__ = ["clock", "postgres_url", "store", "url"]


@pytest.fixture
def world(store: Store, clock: FixedClock, tmp_path: Path) -> CorpusWorld:
    return CorpusWorld(store, clock, tmp_path)
