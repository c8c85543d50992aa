"""A database for a test: a SQLite file, or one of its own on the PostgreSQL at hand."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

HOST = "127.0.0.1"
USERS = ("postgres", "root")


@contextmanager
def postgres_database() -> Iterator[str]:
    """Its URL; dropped at the end. Skips where no server answers, unless services are required."""
    user, why = _user()
    if user is None:
        if os.environ.get("RUNG_REQUIRE_SERVICES") == "1":
            pytest.fail(f"PostgreSQL is required and does not answer: {why}")
        pytest.skip(f"no PostgreSQL on {HOST}:5432: {why}")
    name = f"rung_test_{secrets.token_hex(6)}"
    with psycopg.connect(_server(user), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgresql://{user}@{HOST}:5432/{name}"
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _user() -> tuple[str | None, str]:
    why = ""
    for user in USERS:
        try:
            psycopg.connect(_server(user), connect_timeout=3).close()
        except psycopg.Error as error:
            why = str(error).strip()
        else:
            return user, ""
    return None, why


def _server(user: str) -> str:
    return f"postgresql://{user}@{HOST}:5432/postgres"
