"""The servers that some tests need: a test skips without one, and fails where all are required."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
import redis
from kombu import Connection

HOST = "127.0.0.1"
REQUIRED = "RUNG_REQUIRE_SERVICES"  # set to 1 where no test may skip for want of a server
PATIENCE_S = 3
USERS = ("postgres", "root")  # of PostgreSQL; which may log in is the machine's choice


@dataclass(frozen=True, kw_only=True)
class Service:
    """`answering` returns the URL of the server, and raises whatever its client does."""

    name: str
    port: int
    answering: Callable[[], str]

    def look(self) -> tuple[str | None, str]:
        """Its URL, or None and why it does not answer."""
        try:
            return self.answering(), ""
        except Exception as error:
            return None, f"{self.name} on {HOST}:{self.port} does not answer: {error}".strip()

    def needed(self) -> str:
        """Its URL; without it the test that asks is skipped, or fails where services are
        required."""
        url, why = self.look()
        if url is not None:
            return url
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{why} ({REQUIRED}=1)")
        pytest.skip(why)


def _postgresql() -> str:
    first, last = (f"postgresql://{user}@{HOST}:5432/postgres" for user in USERS)
    try:
        psycopg.connect(first, connect_timeout=PATIENCE_S).close()
    except psycopg.Error:
        psycopg.connect(last, connect_timeout=PATIENCE_S).close()
        return last
    return first


def _redis() -> str:
    url = f"redis://{HOST}:6379/0"
    with redis.Redis.from_url(url, socket_timeout=PATIENCE_S) as client:
        client.ping()
    return url


def _rabbitmq() -> str:
    url = f"amqp://guest:guest@{HOST}:5672//"
    with Connection(url, connect_timeout=PATIENCE_S) as connection:
        connection.connect()
    return url


POSTGRESQL = Service(name="PostgreSQL", port=5432, answering=_postgresql)
REDIS = Service(name="Redis", port=6379, answering=_redis)
RABBITMQ = Service(name="RabbitMQ", port=5672, answering=_rabbitmq)
SERVICES = (POSTGRESQL, REDIS, RABBITMQ)


def main() -> int:
    """Says what does not answer; the exit code is the number of such servers."""
    missing = [why for _, why in (service.look() for service in SERVICES) if why]
    for why in missing:
        print(why, file=sys.stderr)
    if not missing:
        print("all servers answer:", ", ".join(service.name for service in SERVICES))
    return len(missing)


if __name__ == "__main__":
    sys.exit(main())
