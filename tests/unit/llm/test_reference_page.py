"""docs/reference/llm.md names every reason and every setting, and its example can be read."""

import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

from llm.door import Reason
from llm.settings import FALLBACKS, MAIN, OF_A_MODEL, PREFIX, SHARED, LanguageConfig

PAGE = (Path(__file__).parents[3] / "docs/reference/llm.md").read_text("utf-8")


def test_reasons() -> None:
    rows = re.findall(r"^\| `(llm_[a-z_]+)` \|", PAGE, re.M)
    assert sorted(rows) == sorted(get_args(Reason))


def test_settings() -> None:
    names = {MAIN, FALLBACKS, *SHARED, *(PREFIX + suffix for suffix in OF_A_MODEL)}
    table = PAGE.split("## Settings")[1].split("## Money")[0]
    told = {
        name
        for row in re.findall(r"^\| (`RUNG.*?) \|", table, re.M)
        for name in re.findall(r"`(RUNG_LLM_[A-Z_]+)`", row)
    }
    assert told == names
    for name, field in SHARED.items():
        default = re.search(rf"^\| `{name}` \| (\S+) \|", table, re.M)
        assert default and default[1] == str(getattr(LanguageConfig(), field)).lower().removesuffix(
            ".0"
        )


def test_the_example() -> None:
    (block,) = re.findall(r"^```dotenv\n(.*?)^```", PAGE, re.M | re.S)
    config = LanguageConfig.from_environment(
        dict(line.split("=", 1) for line in block.splitlines())
    )
    assert [model.name for model in config.models] == [
        "openai/gpt-4o-mini",
        "openai/gpt-4o",
        "hosted_vllm/own-model",
    ]
    first, same, other = config.models
    assert first.api_key == same.api_key and first.api_key is not None
    assert other.api_key is None and other.prices == (Decimal(0), Decimal(0))
