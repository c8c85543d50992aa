"""Embedding jobs while workers are killed, their broker goes away and their database too.

On each of the pairs of broker and database that are documented, with real servers. The workers are
those of production but for their embedder, which needs no model, and for a lease of seconds.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path

import psycopg
import pytest

from core.clock import SystemClock
from core.jobs.corpus_jobs import BULK, put_documents
from core.settings import Settings
from core.store import Store
from tests.fakes.brokers import Broker, FolderBroker, private_redis, rabbit_vhost
from tests.fakes.crasher import Crasher
from tests.fakes.databases import postgres_database
from tests.fakes.worker_nursery import (
    LEASE_S,
    RESCUE_S,
    SECONDS,
    Nursery,
    WorkerGroup,
    hashing_works,
)
from tests.faults.batch.corpus_audit import (
    WHICH,
    corpus_of,
    current_index,
    embedded,
    faults_of,
    job_counts,
)
from tests.terminal import environment
from workers.run import run_until_idle

SIZES = [  # documents, and kills of the whole group
    pytest.param(100, 4, id="ci"),
    pytest.param(500, 20, id="nightly", marks=pytest.mark.slow),
]
BROKER_STOPS, BROKER_STALLS, DATABASE_CUTS = 2, 1, 4
SEED = 3
LEASE = timedelta(seconds=2)
AWAY_S = 1.0
PATIENCE_S = 600  # far above what it takes; reached only where a job is lost
PAIRS = ("filesystem+sqlite", "redis+postgresql", "rabbitmq+postgresql")


@dataclass(kw_only=True)
class Site:
    """One pair of broker and database with its workers; each fault is a method."""

    home: Path
    broker: Broker
    database_url: str | None
    pool: str
    workers: int  # processes; of a prefork pool, one with two children
    log: Path
    _group: WorkerGroup | None = field(default=None)

    def __post_init__(self) -> None:
        given = {"RUNG_BROKER_URL": self.broker.url, "RUNG_WORKER_POOL": self.pool}
        lease = str(LEASE.total_seconds())
        given |= {LEASE_S: lease, RESCUE_S: lease, SECONDS: "0.01"}
        if self.pool == "prefork":
            given["RUNG_WORKER_CONCURRENCY"] = "2"
        if self.database_url is not None:
            given["RUNG_DATABASE_URL"] = self.database_url
        self.environment = environment(self.home, **given)
        ours = {name: self.environment[name] for name in self.environment if "RUNG_" in name}
        self.settings = Settings.from_environment(ours)
        self.store = Store.open(self.settings.database_url, SystemClock())
        self.nursery = Nursery(self.environment, self.log)

    def start(self) -> None:
        self._group = self.nursery.start(self.workers)

    def kill(self) -> None:
        self.group.kill()
        self.start()

    def terminate(self) -> None:
        """What a stop by hand does: each ends its task and says that all is well."""
        codes = self.group.terminate()
        self.start()
        assert set(codes) == {0}, codes

    def freeze(self) -> None:
        """Stopped for longer than a lease: others take its jobs, and then it comes back."""
        other = self.nursery.start(1)
        self.group.send(signal.SIGSTOP)
        time.sleep(2 * LEASE.total_seconds())
        self.group.send(signal.SIGCONT)
        time.sleep(AWAY_S)
        other.kill()

    def stop_broker(self) -> None:
        self.broker.stop()
        time.sleep(AWAY_S)
        self.broker.start()

    def stall_broker(self) -> None:
        self.broker.stall()
        time.sleep(AWAY_S)
        self.broker.resume()

    def cut_database(self) -> None:
        """Every connection of the workers; on SQLite, which has none, all must wait for a lock."""
        if self.database_url is None:
            with self.store.writing():
                time.sleep(AWAY_S)
            return
        cutting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        mine = "datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(f"{cutting} WHERE {mine}")

    def close(self) -> None:
        if self._group is not None:
            self.group.kill()  # one that is stopped too
        self.nursery.close()
        self.store.close()

    @property
    def group(self) -> WorkerGroup:
        assert self._group is not None
        return self._group


@pytest.fixture(params=PAIRS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    broker_name, _, database = request.param.partition("+")
    home = tmp_path / "home"
    home.mkdir()
    with ExitStack() as stack:
        broker: Broker = FolderBroker(home=home)
        if broker_name == "redis":
            broker = stack.enter_context(private_redis(tmp_path))
        elif broker_name == "rabbitmq":
            broker = stack.enter_context(rabbit_vhost())
        url = stack.enter_context(postgres_database()) if database == "postgresql" else None
        prefork = broker_name == "redis"
        site = Site(
            home=home,
            broker=broker,
            database_url=url,
            pool="prefork" if prefork else "solo",
            workers=1 if prefork else 2,
            log=tmp_path / "log",
        )
        stack.callback(site.close)
        yield site


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    return cache(lambda documents: _identity(tmp_path_factory.mktemp("home") / "home", documents))


def _identity(home: Path, documents: int) -> str:
    """Of the index of the same documents, sent at once and embedded in peace."""
    settings = Settings.from_environment({"RUNG_HOME": str(home)})
    store = Store.open(settings.database_url, SystemClock())
    put_documents(store, WHICH, corpus_of(documents)[::-1], source="api", priority=BULK)
    run_until_idle(settings, hashing_works())
    identity = current_index(settings, store).identity
    store.close()
    return identity


@pytest.mark.parametrize(("documents", "kills"), SIZES)
def test_every_document_is_indexed_once_whatever_is_killed_cut_and_stopped(
    site: Site, undisturbed: Callable[[int], str], documents: int, kills: int
) -> None:
    sent = corpus_of(documents)
    for document in sent:
        put_documents(site.store, WHICH, [document], source="api", priority=BULK)
    actions = [site.kill] * kills + [site.terminate, site.freeze]
    actions += [site.stop_broker] * BROKER_STOPS + [site.stall_broker] * BROKER_STALLS
    actions += [site.cut_database] * DATABASE_CUTS
    crasher = Crasher(
        actions, lambda: embedded(site.store), total=documents, seed=SEED, look_s=0.02
    )
    site.start()
    crasher.start()
    crasher.join(PATIENCE_S)
    assert crasher.left == 0, f"{embedded(site.store)} of {documents} are embedded"
    site.group.kill()
    run_until_idle(site.settings, hashing_works(), lease=LEASE, timeout_s=PATIENCE_S)
    counts = job_counts(site.store)
    assert counts.embed == {"done": documents}
    assert set(counts.build) == {"done"}
    index = current_index(site.settings, site.store)
    assert faults_of(site.store, index, sent) == []
    assert index.identity == undisturbed(documents)
