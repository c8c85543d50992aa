"""Migrations make exactly the schema that the code reads, once, whoever starts first."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, insert, text

import core.store.migrate as migrate_module
from core.clock import SystemClock
from core.errors import InvalidSettings, Unavailable
from core.jobs import JobLedger
from core.jobs.corpus_jobs import enqueue_embed
from core.store import Store
from core.store.documents import CorpusName
from core.store.tables import metadata
from tests.fakes.databases import postgres_database


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'fresh.db'}"
    else:
        with postgres_database() as url:
            yield url


def test_migrations_make_the_tables_of_the_code(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_newest_migration_is_the_one_that_is_asked_for() -> None:
    config = Config()
    folder = Path(migrate_module.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [migrate_module.HEAD]


def test_many_may_open_an_empty_database_at_once(fresh: str) -> None:
    stores: list[Store] = []
    errors: list[BaseException] = []
    together = threading.Barrier(8)

    def open_it() -> None:
        together.wait()
        try:
            stores.append(Store.open(fresh, SystemClock()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with stores[0].reading() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
        assert list(versions) == [migrate_module.HEAD]
    for store in stores:
        store.close()


def test_a_database_of_a_newer_version_is_refused(fresh: str) -> None:
    store = Store.open(fresh, SystemClock())
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(InvalidSettings) as caught:
        Store.open(fresh, SystemClock())
    assert caught.value.code == "RUNG-DATABASE-VERSION"


def old_job(name: str, state: str, document: int) -> dict[str, Any]:
    work = {"corpus": "c", "decision": "d", "documents": [document], "fingerprint": "e1"}
    payload = json.dumps(work, sort_keys=True)
    return {
        "tenant_id": "acme",
        "id": name,
        "kind": "embed_documents",
        "payload": payload,
        "content_hash": hashlib.sha256(payload.encode()).hexdigest(),
        "state": state,
        "priority": 0,
        "tries": 0,
        "max_tries": 5,
        "progress": 0,
        "due_at": 1,
        "woken_at": 1,
        "created_at": 1,
    }


OLD_JOBS = [old_job("failed", "failed", 1), old_job("waiting", "queued", 2)]
OLD_VECTOR = {"tenant_id": "acme", "fingerprint": "e1", "text_digest": "t", "vector": b"1234"}
OLD_SCORES = [
    {
        "tenant_id": "acme",
        "decision": "d",
        "key": key,
        "probability": 0.25,
        "outcome": "paid",
        "features_digest": "f",
        "release": release,
        "scored_at": 10,
        "expires_at": 20,
    }
    for key, release in (("1", "r1"), ("2", "r1"), ("3", "r2"))
]


def test_what_a_database_holds_outlives_the_migration_both_ways(fresh: str) -> None:
    engine = create_engine(fresh.replace("postgresql://", "postgresql+psycopg://"))

    def migrated(go: Callable[[Config, str], None], to: str) -> None:
        config = Config()
        folder = Path(migrate_module.__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder))
        config.set_main_option("path_separator", "os")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            go(config, to)

    def rows(table: str) -> list[dict[str, Any]]:
        with engine.begin() as connection:
            return [
                dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {table}"))
            ]

    def by_key(told: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
        return sorted(told, key=lambda row: str(row[key]))

    def told_of_jobs() -> list[tuple[Any, ...]]:
        found = by_key(rows("jobs"), "id")
        return [(row["id"], json.loads(row["payload"]), row["content_hash"]) for row in found]

    migrated(command.upgrade, "0004")
    with engine.begin() as connection:
        for name, old in (("jobs", OLD_JOBS), ("vectors", OLD_VECTOR), ("scores", OLD_SCORES)):
            told = MetaData()
            told.reflect(connection, only=[name])
            connection.execute(insert(told.tables[name]), old)
    before = by_key(rows("scores"), "key"), told_of_jobs()
    started = time.time_ns() // 1000
    store = Store.open(fresh, SystemClock())
    kept = store.scores("acme", "d", ["1", "2", "3"])
    assert {key: one.release for key, one in kept.items()} == {"1": "r1", "2": "r1", "3": "r2"}
    assert kept["1"].probability == 0.25 and kept["1"].expires_at > kept["1"].scored_at
    ledger = JobLedger(store)
    which = CorpusName(tenant_id="acme", decision="d", corpus="c")
    with store.writing() as connection:  # the same work is open once
        again = enqueue_embed(connection, which, [2], priority=0, now=store.now(), fingerprint="e1")
    assert again == "waiting" and ledger.open_count() == 1
    ledger.retry("acme", "failed")
    assert ledger.claim_next(["embed_documents"], timedelta(1), embedder="another") is None
    for documents in ([2], [1]):
        job = ledger.claim_next(["embed_documents"], timedelta(1), embedder="e1")
        assert job is not None
        assert job.payload == {"corpus": "c", "decision": "d", "documents": documents}
    store.close()
    [vector] = rows("vectors")
    assert vector["kept_at"] >= started and bytes(vector["vector"]) == b"1234"
    migrated(command.downgrade, "0004")
    assert (by_key(rows("scores"), "key"), told_of_jobs()) == before
    engine.dispose()


def test_sqlite_is_set_so_that_a_commit_is_durable(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'rung.db'}", SystemClock())
    with store.reading() as connection:
        told = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert told == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    store.close()


@pytest.mark.parametrize(
    "url", ["mysql://root@host/x", "nonsense", "sqlite://", "sqlite:///:memory:"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Store.open(url, SystemClock())
    assert caught.value.code == "RUNG-DATABASE-URL"


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() -> None:
    with pytest.raises(Unavailable) as caught:
        Store.open("postgresql://me:hunter2@127.0.0.1:1/x", SystemClock())
    assert caught.value.code == "RUNG-STORE-UNAVAILABLE"
    assert "hunter2" not in str(caught.value)
