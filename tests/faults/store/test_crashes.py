"""Whatever breaks in the middle of a write, or kills its process, nothing stands half-written."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from core.clock import SystemClock
from core.errors import Unavailable
from core.store import Store
from core.store.tables import decisions, idempotency, payloads, reviews
from tests.fakes.decisions import FACTS, full_decision

TABLES = {"decisions": decisions, "payloads": payloads, "reviews": reviews}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'rung.db'}", SystemClock())


def counts(store: Store) -> dict[str, int]:
    with store.reading() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in TABLES.items()
        }


@pytest.mark.parametrize("table", ["payloads", "reviews", "review_events"])
def test_an_insert_that_fails_leaves_no_decision_and_the_claim_open(
    store: Store, table: str
) -> None:
    claim = store.claim_idempotency("acme", "k", "hash")

    @event.listens_for(store._engine, "before_cursor_execute")
    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(f"INSERT INTO {table} "):
            raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        store.record_decision(full_decision(), FACTS, review=True, idempotency=claim)  # type: ignore[arg-type]
    event.remove(store._engine, "before_cursor_execute", fail)
    assert set(counts(store).values()) == {0}
    store.record_decision(full_decision(), FACTS, review=True, idempotency=claim)  # type: ignore[arg-type]
    assert set(counts(store).values()) == {1}


def test_a_review_that_cannot_be_resolved_leaves_no_feedback(store: Store) -> None:
    store.record_decision(full_decision(), FACTS, review=True)
    (item,) = store.reviews("acme")

    @event.listens_for(store._engine, "before_cursor_execute")
    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("INSERT INTO review_events "):
            raise RuntimeError("the process dies here")

    with pytest.raises(RuntimeError):
        store.resolve_review("acme", item.id, "ann", "block")
    event.remove(store._engine, "before_cursor_execute", fail)
    found = store.decision("acme", "d1")
    assert found is not None and found.feedback == ()
    assert store.resolve_review("acme", item.id, "ann", "block").state == "resolved"


WRITER = """
import sys
from core.clock import SystemClock
from core.store import Store
from tests.fakes.decisions import FACTS, full_decision
store = Store.open(sys.argv[1], SystemClock())
for n in range(10**6):
    name = f"{sys.argv[2]}-{n}"
    claim = store.claim_idempotency("acme", name, name)
    store.record_decision(full_decision(name), FACTS, review=True, idempotency=claim)
    print(name, flush=True)
"""


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """SIGKILL in mid-write, several times: no acknowledged id is missing, no half stands."""
    url = f"sqlite:///{tmp_path / 'rung.db'}"
    Store.open(url, SystemClock()).close()
    acknowledged: list[str] = []
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(round_)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdout is not None
        for _ in range(20 + 7 * round_):
            acknowledged.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        acknowledged += [line for line in process.stdout.read().split("\n") if line]
        process.wait()
    store = Store.open(url, SystemClock())
    assert len(acknowledged) >= 100
    assert all(store.decision("acme", id) is not None for id in acknowledged)
    found = counts(store)
    assert len(set(found.values())) == 1  # each has its payload, its review and its message
    assert found["decisions"] - len(acknowledged) in range(5)  # committed, killed before the word
    with store.reading() as connection:
        done = select(func.count()).select_from(idempotency).where(idempotency.c.done)
        assert connection.execute(done).scalar_one() == found["decisions"]
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_a_database_that_another_process_holds_is_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rung.db'}"
    one, two = Store.open(url, SystemClock()), Store.open(url, SystemClock())
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with one.writing():
            held.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    assert two.decision("acme", "d1") is None  # readers do not wait
    threading.Timer(0.3, release.set).start()
    two.record_decision(full_decision(), FACTS, review=False)
    holder.join()
    assert one.decision("acme", "d1") is not None


def test_a_read_only_or_broken_file_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "rung.db"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(Unavailable) as caught:
        Store.open(f"sqlite:///{path}", SystemClock())
    assert caught.value.retryable
    with pytest.raises(Unavailable):
        Store.open(f"sqlite:///{tmp_path / 'no folder' / 'rung.db'}", SystemClock())


def test_a_full_disk_refuses_writes_and_still_reads(store: Store) -> None:
    store.record_decision(full_decision("before"), FACTS, review=False)

    @event.listens_for(store._engine, "begin")
    def no_space(connection: object) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    with pytest.raises(Unavailable):
        for n in range(2000):
            store.record_decision(full_decision(f"d{n}"), FACTS, review=True)
    assert store.decision("acme", "before") is not None
    found = counts(store)
    assert found["decisions"] == found["payloads"] == found["reviews"] + 1
