"""Brokers of a test's own, which it can stop, empty, stall and start again."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import redis

from tests.fakes.services import HOST, RABBITMQ, REQUIRED
from tests.fakes.tcp_proxy import TcpProxy

STARTED_S = 30


class Broker(Protocol):
    @property
    def url(self) -> str: ...

    def stop(self) -> None:
        """Away, with what it held where it holds that in memory."""
        ...

    def start(self) -> None: ...

    def stall(self) -> None:
        """There, and silent."""
        ...

    def resume(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FolderBroker:
    """That of one machine, whose disk goes away and comes back empty."""

    home: Path
    url: str = "filesystem://"

    @property
    def _messages(self) -> Path:
        return self.home / "broker" / "messages"

    @property
    def _away(self) -> Path:
        return self._messages.with_name("away")

    def stop(self) -> None:
        self._messages.rename(self._away)  # at once, while others write into it
        shutil.rmtree(self._away)

    def start(self) -> None:
        self._messages.mkdir(exist_ok=True)

    def stall(self) -> None:
        self._messages.rename(self._away)

    def resume(self) -> None:
        """What a worker that was started meanwhile has sent is lost."""
        if self._messages.exists():
            gone = self._messages.with_name("gone")
            self._messages.rename(gone)
            shutil.rmtree(gone)
        self._away.rename(self._messages)


class PrivateRedis:
    """A server on a free port that writes nothing to the disk: each stop loses all messages."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder, self._program = folder, program
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server((HOST, 0)) as free:
            self.port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", HOST, "--dir", str(self._folder)]
        words += ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([self._program, *words], stdout=subprocess.DEVNULL)
        last = time.monotonic() + STARTED_S
        with redis.Redis(host=HOST, port=self.port) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < last, "redis-server does not start"
                    time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@dataclass(frozen=True, kw_only=True)
class RabbitVhost:
    """A vhost of the server at hand behind a proxy: its messages outlive a stop."""

    vhost: str
    proxy: TcpProxy

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.proxy.port}/{self.vhost}"

    def stop(self) -> None:
        self.proxy.stop()

    def start(self) -> None:
        self.proxy.start()

    def stall(self) -> None:
        self.proxy.stall()

    def resume(self) -> None:
        self.proxy.resume()


@contextmanager
def private_redis(folder: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(folder, _program("redis-server"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def rabbit_vhost() -> Iterator[RabbitVhost]:
    RABBITMQ.needed()
    control = _program("rabbitmqctl")
    vhost = f"rung_test_{secrets.token_hex(6)}"
    _run(control, "add_vhost", vhost)
    try:
        _run(control, "set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        with TcpProxy(HOST, RABBITMQ.port) as proxy:
            yield RabbitVhost(vhost=vhost, proxy=proxy)
    finally:
        _run(control, "delete_vhost", vhost)


def _program(name: str) -> str:
    """Its path; as with a service, the test skips without it or fails where all is required."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is not None:
        return found
    why = f"there is no program {name}"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{why} ({REQUIRED}=1)")
    pytest.skip(why)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60)
