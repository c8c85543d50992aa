"""A database for a test: one of its own on the PostgreSQL at hand."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.fakes.services import POSTGRESQL


@contextmanager
def postgres_database() -> Iterator[str]:
    """Its URL; dropped at the end. Skips where no server answers, unless services are required."""
    server_url = POSTGRESQL.needed()
    name = f"rung_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield server_url.rpartition("/")[0] + f"/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
