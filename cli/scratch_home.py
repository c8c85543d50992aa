"""A home for the time of a measurement, so that nothing a bench makes or decides is anybody's."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.errors import Conflict
from core.settings import Settings

DATABASE = "rung.db"  # where settings look for it when they are told nothing
# Each names something of the operator's; a language model costs money besides.
OF_THE_OPERATOR = (
    "RUNG_HOME",
    "RUNG_DATABASE_URL",
    "RUNG_ARTIFACTS",
    "RUNG_BROKER_URL",
    "RUNG_SECRET",
)
OF_LANGUAGE_MODELS = "RUNG_LLM_"


@contextmanager
def scratch_home(copy_of: Settings | None = None) -> Iterator[None]:
    """The environment of this process and of those it starts names an empty home, or a copy.

    The copy holds the database, the artifacts and the models. Raises Conflict where the database
    is not a file.
    """
    with TemporaryDirectory(prefix="rung-bench-") as folder:
        home = Path(folder) / "home"
        own = {"RUNG_HOME": str(home)}
        if copy_of is not None:
            _copy(copy_of, home)
            own["RUNG_SECRET"] = copy_of.secret.get_secret_value()  # it signed the artifacts
        before = dict(os.environ)
        for name in before:
            if name in OF_THE_OPERATOR or name.startswith(OF_LANGUAGE_MODELS):
                del os.environ[name]
        os.environ.update(own)
        try:
            yield
        finally:
            for name in own:
                del os.environ[name]
            os.environ.update(before)


def _copy(settings: Settings, home: Path) -> None:
    scheme, _, database = settings.database_url.partition(":///")
    if scheme != "sqlite":
        raise Conflict(
            "RUNG-BENCH-DATABASE",
            "the decisions of this home lie in PostgreSQL, which a bench does not copy",
            way_out="Train the decision in a home on SQLite (unset RUNG_DATABASE_URL, and set "
            "RUNG_HOME to another folder), and measure it there.",
        )
    home.mkdir(mode=0o700)
    for made, kept in (
        (settings.artifacts, home / "artifacts"),
        (settings.models, home / "models"),
    ):
        if made.is_dir():
            shutil.copytree(made, kept)
    if Path(database).is_file():
        _copy_database(Path(database), home / DATABASE)


def _copy_database(of: Path, to: Path) -> None:
    """A database that somebody writes into meanwhile cannot be copied as a file."""
    with closing(sqlite3.connect(of)) as here, closing(sqlite3.connect(to)) as there:
        here.backup(there)
