"""A broker that is not there is told as such, so that what was to be sent is put back at once."""

import socket
import time
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import Unavailable
from core.jobs import Dispatcher, JobLedger, Outbox
from core.jobs.ledger import WAKE
from core.settings import Settings
from core.store import Store
from tests.fakes.brokers import FolderBroker, rabbit_vhost
from workers.app import make_celery
from workers.pulse import CONFIRMED_S, wake_by


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("scheme", ["filesystem", "redis", "amqp"])
def test_a_wake_up_that_cannot_be_sent_waits_in_the_outbox(
    tmp_path: Path, closed_port: int, scheme: str
) -> None:
    home, folder = tmp_path / "home", scheme == "filesystem"
    url = "filesystem://" if folder else f"{scheme}://127.0.0.1:{closed_port}//"
    settings = Settings.from_environment({"RUNG_HOME": str(home), "RUNG_BROKER_URL": url})
    wake = wake_by(make_celery(settings))
    if folder:
        FolderBroker(home=home).stop()
    store = Store.open(settings.database_url, SystemClock())
    JobLedger(store).enqueue("acme", "some_kind", {}, "content")
    outbox = Outbox(store)
    with pytest.raises(Unavailable) as caught:
        Dispatcher(outbox, {WAKE: lambda message: wake()}).run_once()
    assert caught.value.code == "RUNG-BROKER-UNAVAILABLE"
    assert len(outbox.take()) == 1  # put back, and not leased until its sender is given up
    store.close()


def test_a_broker_that_confirms_nothing_is_told_in_time_and_is_used_again(tmp_path: Path) -> None:
    """As RabbitMQ does while it is short of memory or disk: it reads no further from a sender."""
    with rabbit_vhost() as broker:
        env = {"RUNG_HOME": str(tmp_path / "home"), "RUNG_BROKER_URL": broker.url}
        wake = wake_by(make_celery(Settings.from_environment(env)))
        wake()
        broker.stall()
        for _ in range(2):  # on the connection that there is, and on another one
            started = time.monotonic()
            with pytest.raises(Unavailable) as caught:
                wake()
            assert caught.value.code == "RUNG-BROKER-UNAVAILABLE"
            assert time.monotonic() - started < 3 * CONFIRMED_S
        broker.resume()
        wake()
