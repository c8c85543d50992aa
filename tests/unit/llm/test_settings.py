"""The environment names the models; what it gets wrong is named without showing a value."""

from decimal import Decimal

import pytest

from core.errors import InvalidSettings
from llm.settings import LanguageConfig, ModelConfig

SECRET = "sk-very-secret-0123456789"


def read(**variables: str) -> LanguageConfig:
    return LanguageConfig.from_environment({f"RUNG_LLM_{k}": v for k, v in variables.items()})


def test_nothing_set_is_the_keyless_door() -> None:
    assert LanguageConfig.from_environment({"HOME": "/", "RUNG_LLM_MODEL": " "}).models == ()


def test_everything_set() -> None:
    config = read(
        MODEL="openai/big",
        API_BASE="http://10.0.0.5:8000/v1",
        API_KEY=SECRET,
        PRICE_IN="2.5",
        PRICE_OUT="10",
        TIMEOUT_S="7.5",
        MAX_TOKENS="300",
        MAX_PROMPT_BYTES="9000",
        RETRIES="1",
        JSON_MODE="false",
        USD_RATE="0.92",
    )
    (model,) = config.models
    assert model.name == "openai/big"
    assert model.prices == (Decimal("2.5"), Decimal(10))
    assert model.api_key and model.api_key.get_secret_value() == SECRET
    assert (config.timeout_s, config.max_tokens, config.retries) == (7.5, 300, 1)
    assert (config.max_prompt_bytes, config.json_mode) == (9000, False)
    assert config.usd_rate == Decimal("0.92")


def test_a_fallback_shares_place_and_key_only_with_its_own_provider() -> None:
    config = read(
        MODEL="openai/big",
        API_BASE="https://one.example/v1",
        API_KEY=SECRET,
        PRICE_IN="1",
        PRICE_OUT="2",
        FALLBACKS="openai/small, anthropic/other, openai/elsewhere",
        FALLBACK_2_API_KEY="other-key",
        FALLBACK_3_API_BASE="https://three.example/v1",
    )
    _, same, other, elsewhere = config.models
    assert same.api_base == "https://one.example/v1"
    assert same.api_key and same.api_key.get_secret_value() == SECRET
    assert same.prices is None  # the price of one model is not that of another
    assert other.api_base is None
    assert other.api_key and other.api_key.get_secret_value() == "other-key"
    assert elsewhere.api_base == "https://three.example/v1" and elsewhere.api_key is None


def test_two_names_without_a_provider_share_nothing() -> None:
    config = read(MODEL="gpt-4o", API_KEY=SECRET, FALLBACKS="claude-sonnet-4-5")
    assert config.models[1].api_key is None


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"TIMEOUT_S": "0"}, "RUNG_LLM_TIMEOUT_S"),
        ({"TIMEOUT_S": "inf"}, "RUNG_LLM_TIMEOUT_S"),
        ({"TIMEOUT_S": "nan"}, "RUNG_LLM_TIMEOUT_S"),
        ({"TIMEOUT_S": "soon"}, "RUNG_LLM_TIMEOUT_S"),
        ({"MAX_TOKENS": "-1"}, "RUNG_LLM_MAX_TOKENS"),
        ({"RETRIES": "1.5"}, "RUNG_LLM_RETRIES"),
        ({"JSON_MODE": "perhaps"}, "RUNG_LLM_JSON_MODE"),
        ({"USD_RATE": "NaN"}, "RUNG_LLM_USD_RATE"),
        ({"PRICE_IN": "-1", "PRICE_OUT": "1"}, "RUNG_LLM_PRICE_IN"),
        ({"PRICE_IN": "1"}, "RUNG_LLM_MODEL"),
        ({"API_BASE": "ftp://host"}, "RUNG_LLM_API_BASE"),
        ({"API_BASE": f"https://user:{SECRET}@host/v1"}, "RUNG_LLM_API_BASE"),
        ({"API_BASE": f"https://host/v1?key={SECRET}"}, "RUNG_LLM_API_BASE"),
        ({"FALLBACKS": "x" * 300}, "RUNG_LLM_FALLBACKS"),
        ({"FALLBACKS": "a/b", "FALLBACK_1_API_BASE": "host"}, "RUNG_LLM_FALLBACK_1_API_BASE"),
    ],
)
def test_a_bad_value_is_named_and_never_shown(variables: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read(**{"MODEL": "openai/big", "API_KEY": SECRET, **variables})
    assert caught.value.code == "RUNG-SETTING-VALUE"
    assert str(caught.value).split(": ", 1)[1].startswith(named)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "variables",
    [
        {"MODEL": "a/b", "APIBASE": "http://host"},
        {"MODEL": "a/b", "FALLBACK_1_API_KEY": "x"},
        {"MODEL": "a/b", "FALLBACKS": "c/d", "FALLBACK_2_API_KEY": "x"},
        {"API_KEY": SECRET},
        {"FALLBACKS": "c/d"},
    ],
)
def test_a_setting_without_effect_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read(**variables)
    assert caught.value.code == "RUNG-SETTING-UNKNOWN"
    assert SECRET not in str(caught.value)


def test_a_key_is_in_no_representation() -> None:
    model = ModelConfig.model_validate({"name": "a/b", "api_key": SECRET})
    config = LanguageConfig(models=(model,))
    shown = [repr(config), str(config), config.model_dump_json(), repr(model.model_dump())]
    assert not any(SECRET in text for text in shown)
