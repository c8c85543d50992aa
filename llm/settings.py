"""Which models stand behind the door: from the server's configuration, never from a request."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from core.errors import InvalidSettings


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ModelConfig(_Strict):
    """One model. Prices are in the decision's currency; both or none."""

    name: str = Field(min_length=1, max_length=200)  # as litellm names it: provider/model
    api_base: str | None = None
    api_key: SecretStr | None = None
    input_price_per_million: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)
    output_price_per_million: Decimal | None = Field(default=None, ge=0, allow_inf_nan=False)

    @field_validator("api_base")
    @classmethod
    def _is_http_without_credentials(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("an http or https URL is wanted")
            if parts.username or parts.password or parts.query:
                raise ValueError("a URL without credentials is wanted; the key has its own place")
        return value

    @model_validator(mode="after")
    def _has_both_prices_or_none(self) -> "ModelConfig":
        if (self.input_price_per_million is None) != (self.output_price_per_million is None):
            raise ValueError("the price of input and of output are given together")
        return self

    @property
    def prices(self) -> tuple[Decimal, Decimal] | None:
        if self.input_price_per_million is None or self.output_price_per_million is None:
            return None
        return self.input_price_per_million, self.output_price_per_million


class LanguageConfig(_Strict):
    """No models: the keyless door. Else they are asked in order until one answers."""

    models: tuple[ModelConfig, ...] = ()
    timeout_s: float = Field(default=20.0, gt=0, le=600)  # of one call; the deadline holds anyway
    max_tokens: int = Field(default=600, ge=1, le=100_000)  # five sentences and their JSON fit
    max_prompt_bytes: int = Field(default=24_000, ge=1_000, le=1_000_000)  # some 6,000 tokens
    retries: int = Field(default=2, ge=0, le=10)  # of one model, where a retry can help
    json_mode: bool = True  # some local servers refuse response_format
    usd_rate: Decimal = Field(default=Decimal(1), gt=0, allow_inf_nan=False)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "LanguageConfig":
        """Raises InvalidSettings, which never shows a value."""
        given = {key: value.strip() for key, value in env.items() if key.startswith(PREFIX)}
        given = {key: value for key, value in given.items() if value}
        _refuse_unknown(given)
        try:
            return cls.model_validate({"models": _models(given), **_shared(given)})
        except ValidationError as error:
            place = error.errors(include_input=False, include_url=False)[0]
            raise InvalidSettings(
                "RUNG-SETTING-VALUE",
                f"{_variable(place['loc'])} cannot be used: {place['msg']}",
                way_out="docs/reference/llm.md lists what each variable takes.",
            ) from None


PREFIX = "RUNG_LLM_"
SHARED = {
    "RUNG_LLM_TIMEOUT_S": "timeout_s",
    "RUNG_LLM_MAX_TOKENS": "max_tokens",
    "RUNG_LLM_MAX_PROMPT_BYTES": "max_prompt_bytes",
    "RUNG_LLM_RETRIES": "retries",
    "RUNG_LLM_JSON_MODE": "json_mode",
    "RUNG_LLM_USD_RATE": "usd_rate",
}
OF_A_MODEL = {
    "API_BASE": "api_base",
    "API_KEY": "api_key",
    "PRICE_IN": "input_price_per_million",
    "PRICE_OUT": "output_price_per_million",
}
MAIN, FALLBACKS = "RUNG_LLM_MODEL", "RUNG_LLM_FALLBACKS"


def _refuse_unknown(given: Mapping[str, str]) -> None:
    places = [PREFIX] if MAIN in given else []
    places += [f"{PREFIX}FALLBACK_{number}_" for number, _ in enumerate(_fallbacks(given), 1)]
    known = {place + suffix for place in places for suffix in OF_A_MODEL}
    known |= {MAIN, *SHARED} | ({FALLBACKS} if MAIN in given else set())
    wrong = sorted(given.keys() - known)
    if wrong:
        raise InvalidSettings(
            "RUNG-SETTING-UNKNOWN",
            f"{wrong[0]} is not a setting, or belongs to a model that is not named",
            way_out="docs/reference/llm.md lists the variables.",
        )


def _shared(given: Mapping[str, str]) -> dict[str, str]:
    return {field: given[key] for key, field in SHARED.items() if key in given}


def _models(given: Mapping[str, str]) -> list[dict[str, Any]]:
    if MAIN not in given:
        return []
    main = {"name": given[MAIN], **_of_a_model(given, PREFIX)}
    models = [main]
    for number, name in enumerate(_fallbacks(given), 1):
        own = _of_a_model(given, f"{PREFIX}FALLBACK_{number}_")
        if _provider(name) == _provider(main["name"]) != "" and "api_base" not in own:
            # The same provider at the same place; a key never goes to another place than its own.
            place = {key: text for key, text in main.items() if key in ("api_base", "api_key")}
            own = {**place, **own}
        models.append({"name": name, **own})
    return models


def _fallbacks(given: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in given.get(FALLBACKS, "").split(",") if name.strip()]


def _of_a_model(given: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {
        field: given[prefix + suffix]
        for suffix, field in OF_A_MODEL.items()
        if prefix + suffix in given
    }


def _provider(name: str) -> str:
    return name.split("/")[0] if "/" in name else ""


def _variable(location: tuple[int | str, ...]) -> str:
    names = {field: key for key, field in SHARED.items()}
    suffixes = {field: suffix for suffix, field in OF_A_MODEL.items()}
    if location[0] != "models":
        return names.get(str(location[0]), str(location[0]))
    number, field = location[1], str(location[2]) if len(location) > 2 else "name"
    if field == "name":
        return MAIN if number == 0 else FALLBACKS
    middle = "" if number == 0 else f"FALLBACK_{number}_"
    return f"{PREFIX}{middle}{suffixes.get(field, field)}"
