"""A bench is at home alone: nothing of the operator is named there, and all is as before after."""

import os
import sqlite3
from pathlib import Path

import pytest

from cli.scratch_home import scratch_home
from core.artifacts import ArtifactStore
from core.errors import Conflict
from core.settings import Settings
from llm import LanguageConfig

PRODUCTION = {
    "RUNG_DATABASE_URL": "postgresql://rung@db.example/production",
    "RUNG_BROKER_URL": "amqp://broker.example",
    "RUNG_SECRET": "s" * 40,
    "RUNG_LLM_MODEL": "openai/dear",
    "RUNG_LLM_PRICE_IN": "3",
    "RUNG_LLM_PRICE_OUT": "9",
    "RUNG_EMBEDDER": "minilm-int8",
}


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    told = PRODUCTION | {name: str(tmp_path / name) for name in ("RUNG_HOME", "RUNG_ARTIFACTS")}
    for name in [name for name in os.environ if name.startswith("RUNG_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


def test_nothing_of_the_operators_is_named_in_it(production: dict[str, str]) -> None:
    before = dict(os.environ)
    with pytest.raises(KeyboardInterrupt), scratch_home():
        settings = Settings.from_environment(os.environ)
        mine = {str(settings.home), *map(str, settings.home.parents)}
        assert str(settings.artifacts.parent) in mine
        assert settings.database_url == f"sqlite:///{settings.home / 'rung.db'}"
        assert settings.broker_url == "filesystem://"
        assert settings.secret.get_secret_value() != PRODUCTION["RUNG_SECRET"]
        assert LanguageConfig.from_environment(os.environ).models == ()
        assert settings.embedder == "minilm-int8"  # what is measured is what serves
        raise KeyboardInterrupt
    assert dict(os.environ) == before
    assert not settings.home.exists()
    assert not any(Path(production[name]).exists() for name in ("RUNG_HOME", "RUNG_ARTIFACTS"))


def test_a_copy_has_what_was_decided_and_its_artifacts_and_gives_nothing_back(
    production: dict[str, str], tmp_path: Path
) -> None:
    database = tmp_path / "elsewhere.db"
    env = production | {"RUNG_DATABASE_URL": f"sqlite:///{database}"}
    settings = Settings.from_environment(env)
    key = PRODUCTION["RUNG_SECRET"].encode()
    stored = ArtifactStore(settings.artifacts, key).put("default", "release", {"a": b"1"})
    before = files(settings.artifacts)
    with sqlite3.connect(database) as writer:
        writer.execute("pragma journal_mode=wal")
        writer.execute("create table t (n)")
        writer.execute("insert into t values (1)")
    writer.execute("insert into t values (2)")  # under way: no file of it is whole
    with scratch_home(copy_of=settings):
        copied = Settings.from_environment(os.environ)
        artifacts = ArtifactStore(copied.artifacts, copied.secret.get_secret_value().encode())
        assert artifacts.get("default", stored, "release").files == {"a": b"1"}
        artifacts.put("default", "release", {"b": b"2"})
        with sqlite3.connect(copied.database_url.removeprefix("sqlite:///")) as copy:
            assert copy.execute("select n from t").fetchall() == [(1,)]
            copy.execute("delete from t")
    writer.commit()
    assert writer.execute("select n from t").fetchall() == [(1,), (2,)]
    assert files(settings.artifacts) == before


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_decisions_in_postgresql_are_not_measured(production: dict[str, str]) -> None:
    settings = Settings.from_environment(production)
    with pytest.raises(Conflict) as caught, scratch_home(copy_of=settings):
        pass
    assert caught.value.code == "RUNG-BENCH-DATABASE"
