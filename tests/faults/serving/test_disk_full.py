"""A server whose disk is full refuses what it cannot keep, shows what it has, and recovers."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.clock import SystemClock
from core.identity.keys import SCOPES
from core.settings import Settings
from core.store import Store
from tests.fakes.crasher import Group
from tests.fakes.loans_decision import NAME, facts_of
from tests.fakes.small_disk import SmallDisk, small_disk
from tests.terminal import command, environment

PATH = f"/v1/decisions/{NAME}"
MEGABYTES = 48  # the trained home, and room for some writes
MOST = 2_000  # decisions until SQLite's log, which is written over again, must grow
PATIENCE_S = 120


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", MEGABYTES) as disk:
        yield disk


@pytest.fixture
def client(disk: SmallDisk, loans_home: Path, tmp_path: Path, port: int) -> Iterator[httpx.Client]:
    home = shutil.copytree(loans_home, disk.folder / "home")
    settings = Settings.from_environment({"RUNG_HOME": str(home)})
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    key = store.create_key("default", "all", SCOPES)
    store.close()
    log = tmp_path / "log"
    server = Group(command=command("serve", "--port", port), environment=environment(home), log=log)
    server.start()
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60
        ) as client:
            _wait(lambda: _is_ready(client))
            yield client
    finally:
        server.kill()
    assert "Traceback" not in log.read_text()


def test_a_full_disk_refuses_decisions_and_recovers(client: httpx.Client, disk: SmallDisk) -> None:
    first = client.post(PATH, json={"facts": facts_of(0)})
    assert first.status_code == 200
    disk.fill()
    for number in range(1, MOST):
        refused = client.post(PATH, json={"facts": facts_of(number)})
        if refused.status_code != 200:
            break
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "RUNG-STORE-UNAVAILABLE"
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get(first.json()["trace"]).status_code == 200
    disk.free()
    _wait(lambda: client.post(PATH, json={"facts": facts_of(MOST)}).status_code == 200)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < last, "it does not come to pass"
        time.sleep(0.1)
