"""Training names an index hours after it found or built it; by then its file must be there."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.corpora import folder_indexes, promotion
from cli.decision_folder import DecisionFolder
from cli.home import Home
from core.artifacts import ArtifactStore
from core.errors import NotFound
from core.store import Store
from tests.fakes.clock import FixedClock
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import settings_for
from tests.terminal import EXAMPLE

TENANT = "acme"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    settings, clock = settings_for(tmp_path), FixedClock()
    store = Store.open(settings.database_url, clock, secret=settings.secret)
    artifacts = ArtifactStore(settings.artifacts, b"key")
    yield Home(settings=settings, store=store, artifacts=artifacts, clock=clock)
    store.close()


@pytest.fixture
def folder() -> DecisionFolder:
    return DecisionFolder.read(EXAMPLE)


def manifests(home: Home) -> list[Path]:
    return list((home.settings.artifacts / TENANT / "manifests").glob("*.json"))


def test_an_index_that_is_found_is_kept_until_training_names_it(
    home: Home, folder: DecisionFolder
) -> None:
    embedder = HashingEmbedder()
    made = folder_indexes(home, TENANT, folder, embedder)
    with home.store.writing() as connection:
        promotion(home, TENANT, folder.spec.name, made)(connection)
    for path in manifests(home):
        os.utime(path, (0, 0))
    found = folder_indexes(home, TENANT, folder, embedder)
    assert {one.stored.artifact_id for one in found.values()} == {
        path.stem for path in manifests(home)
    }
    assert all(time.time() - path.stat().st_mtime < 60 for path in manifests(home))


def test_no_row_names_an_index_whose_file_is_gone(home: Home, folder: DecisionFolder) -> None:
    made = folder_indexes(home, TENANT, folder, HashingEmbedder())
    for path in manifests(home):
        path.unlink()
    with pytest.raises(NotFound), home.store.writing() as connection:
        promotion(home, TENANT, folder.spec.name, made)(connection)
    fingerprint = HashingEmbedder().fingerprint
    assert home.store.current_indexes(TENANT, folder.spec.name, fingerprint) == {}
