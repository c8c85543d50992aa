"""Brings a database to the newest schema, once, however many processes start together."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from core.errors import InvalidSettings

HEAD = "0005"  # a test holds it to the newest file of migrations/versions
LOCK = 7_245_180_331  # any number that no one else locks in this database


def migrate(connection: Connection) -> None:
    """Within the transaction of `connection`, which on SQLite holds the write lock already.

    Raises InvalidSettings for a database that a newer Rung has migrated.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    found = _revision(connection)
    if found == HEAD:
        return
    # Alembic takes a quarter of a second to import, which a migrated database need not wait for.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise InvalidSettings(
            "RUNG-DATABASE-VERSION",
            f"the database is of schema {found}, which this version of Rung does not know",
            way_out="Start the version of Rung that migrated it, or a newer one.",
        ) from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
