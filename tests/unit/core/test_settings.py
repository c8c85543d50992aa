"""The environment is read strictly, documented whole, and its secrets are shown nowhere."""

import re
from pathlib import Path

import pytest

from core.errors import InvalidSettings
from core.settings import FOREIGN_NAMES, Settings, variable

PAGE = Path(__file__).parents[3] / "docs/reference/settings.md"


def read(tmp_path: Path, **given: str) -> Settings:
    return Settings.from_environment({"RUNG_HOME": str(tmp_path / "home"), **given})


def test_nothing_but_a_home_is_needed(tmp_path: Path) -> None:
    settings = read(tmp_path, PATH="/bin", RUNG_PORT="")
    home = tmp_path / "home"
    assert settings.home == home
    assert settings.database_url == f"sqlite:///{home}/rung.db"
    assert settings.artifacts == home / "artifacts"
    assert (settings.broker_url, settings.port) == ("filesystem://", 8000)
    assert (home / "secret").read_text() == settings.secret.get_secret_value()


def test_values_are_read_as_what_they_are(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        RUNG_DATABASE_URL="postgresql://rung@db/rung",
        RUNG_TRUSTED_HOSTS="a.example, b.example",
        RUNG_MAX_BODY_BYTES="2000",
        RUNG_SECRET="x" * 32,
    )
    assert settings.database_url == "postgresql+psycopg://rung@db/rung"
    assert settings.trusted_hosts == ("a.example", "b.example")
    assert settings.max_body_bytes == 2000
    assert not (tmp_path / "home/secret").exists()


def test_a_process_that_is_started_reads_the_same(tmp_path: Path) -> None:
    settings = read(tmp_path, RUNG_PORT="9000", RUNG_TRUSTED_HOSTS="a,b")
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNG_PORT", "eighty"),
        ("RUNG_PORT", "65536"),
        ("RUNG_MAX_BODY_BYTES", "-1"),
        ("RUNG_MAX_CONCURRENCY", "0"),
        ("RUNG_MAX_CONCURRENCY", "nan"),
        ("RUNG_DATABASE_URL", "mysql://root:hunter2@db/x"),
        ("RUNG_BROKER_URL", "sqla+sqlite:///hunter2.db"),
        ("RUNG_SECRET", "hunter2"),
        ("RUNG_LOG_LEVEL", "loud"),
        ("RUNG_WORKER_POOL", "gevent"),
    ],
)
def test_a_bad_value_is_refused_by_name_and_not_repeated(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read(tmp_path, **{name: value})
    assert caught.value.code == "RUNG-SETTING-VALUE"
    assert name in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_name_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="Did you mean RUNG_DATABASE_URL") as caught:
        read(tmp_path, RUNG_DATABSE_URL="sqlite:///x")
    assert caught.value.code == "RUNG-SETTING-UNKNOWN"
    assert not (tmp_path / "home").exists()
    read(tmp_path, RUNG_LLM_MODEL="of another room", RUNG_REQUIRE_SERVICES="1")


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(InvalidSettings) as caught:
        read(tmp_path)
    assert caught.value.code == "RUNG-SETTING-HOME"


def test_no_secret_is_shown(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        RUNG_DATABASE_URL="postgresql://rung:hunter2@db/rung",
        RUNG_BROKER_URL="amqp://rung:hunter2@mq//",
        RUNG_SECRET="hunter2" * 5,
    )
    assert "hunter2" not in repr(settings) + str(settings)


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"^\| `(RUNG_[A-Z_]+)`", PAGE.read_text("utf-8"), re.M))
    assert documented == {variable(name) for name in Settings.model_fields} | FOREIGN_NAMES
