"""SIGKILL of the server and of a worker under load; the truth is a ledger outside of both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.identity.keys import SCOPES
from core.jobs import Outbox
from core.settings import Settings
from core.store import Store
from tests.fakes.crasher import Crasher, Group
from tests.fakes.databases import postgres_database
from tests.fakes.ledger_outside import OutsideLedger
from tests.fakes.loans_decision import NAME, facts_of
from tests.faults.serving.audit import audit
from tests.faults.serving.load import Load
from tests.terminal import command, environment
from workers.run import run_until_idle

SEED = 11
NIGHTLY = (200, 100_000, 7200.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def env(request: pytest.FixtureRequest, home: Path) -> Iterator[dict[str, str]]:
    """Of a home whose decision is live; PostgreSQL learns of the same release."""
    if request.param == "sqlite":
        yield environment(home)
        return
    with postgres_database() as url:
        given = environment(home, RUNG_DATABASE_URL=url)
        release = _store(environment(home)).live_release("default", NAME)
        assert release is not None
        _store(given).register_release("default", NAME, release)
        yield given


def _settings(env: dict[str, str]) -> Settings:
    return Settings.from_environment(env)


def _store(env: dict[str, str]) -> Store:
    settings = _settings(env)
    return Store.open(settings.database_url, SystemClock(), secret=settings.secret)


@pytest.mark.parametrize(
    ("kills", "total", "patience_s"),
    [
        pytest.param(5, 2_000, 300.0, id="ci"),
        pytest.param(*NIGHTLY, id="nightly", marks=pytest.mark.slow),
    ],
)
def test_no_acknowledged_decision_or_feedback_is_missing_phantom_doubled_or_half_written(
    env: dict[str, str], tmp_path: Path, port: int, kills: int, total: int, patience_s: float
) -> None:
    """One kill in three meets the worker beside the server, the others the server."""
    of_worker = kills // 3
    of_server = kills - of_worker
    log = tmp_path / "log"
    server = Group(command=command("serve", "--port", port), environment=env, log=log)
    worker = Group(command=[*command()[:-1], "workers"], environment=env, log=log)
    store = _store(env)
    ledger = OutsideLedger(tmp_path / "outside.jsonl")
    load = Load(
        address=f"http://127.0.0.1:{port}",
        key=store.create_key("default", "load", SCOPES),
        name=NAME,
        facts_of=facts_of,
        truth="decline",
        ledger=ledger,
        total=total,
        patience_s=patience_s,
    )
    crashes = [server.crash] * of_server + [worker.crash] * of_worker
    crasher = Crasher(crashes, lambda: load.acknowledged, total=total, seed=SEED)
    for one in (server, worker, crasher):
        one.start()
    try:
        load.run()
    finally:
        crasher.stop()
        for group in (server, worker):
            group.kill()
    assert load.faults == []
    assert crasher.left == 0
    assert load.lost_connections >= of_server  # else nobody met a kill
    run_until_idle(_settings(env))
    found = audit(store, ledger.read())
    assert found.faults == {}
    assert found.decisions + found.feedbacks >= total and found.to_a_person > 0
    assert Outbox(store).waiting() == 0
    assert "Traceback" not in log.read_text()
    store.close()
