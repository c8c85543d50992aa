"""Every test of the store runs on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.store import Store
from core.store.tables import metadata
from tests.fakes.clock import FixedClock
from tests.fakes.databases import postgres_database

SECRET = SecretStr("a secret for tests that is long enough")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_database() as url:
        yield url


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rung.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str, clock: FixedClock) -> Iterator[Store]:
    opened = Store.open(url, clock, secret=SECRET)
    yield opened
    with opened.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    opened.close()
