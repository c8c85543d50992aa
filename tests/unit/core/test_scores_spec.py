"""`scores` in decision.yaml: a key that every request has, of a decision by fields."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from core.spec import Scores
from tests.fakes.table_world import table_spec

PAGE = (Path(__file__).parents[3] / "docs/reference/decision.md").read_text("utf-8")


def test_defaults() -> None:
    scores = table_spec(scores={"key": "customer"}).scores
    assert scores == Scores(key="customer", fresh_for_hours=24, when_stale="online")
    assert table_spec().scores is None


def test_the_reference_s_fragment_is_one() -> None:
    (fragment,) = re.findall(r"^```yaml-scores\n(.*?)^```", PAGE, re.M | re.S)
    assert Scores.model_validate(yaml.safe_load(fragment)["scores"]).fresh_for_hours == 24


@pytest.mark.parametrize("key", ["age", "channel"])
def test_integers_and_categories_are_keys_too(key: str) -> None:
    fields = {"channel": {"type": "category", "values": ["app"]}}
    assert table_spec(fields=fields, scores={"key": key}).scores is not None


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({"key": "nobody"}, "available field"),
        ({"key": "amount"}, "never missing"),
        ({"key": "late"}, "available field"),
        ({"key": "size"}, "of type number"),
        ({"key": "customer", "fresh_for_hours": 0}, "greater than 0"),
        ({"key": "customer", "when_stale": "guess"}, "online"),
        ({"key": "customer", "for": 3}, "Extra inputs"),
    ],
)
def test_what_is_no_such_section(scores: Any, why: str) -> None:
    fields = {"late": {"type": "text", "available": False}, "size": {"type": "number"}}
    with pytest.raises(ValidationError, match=why):
        table_spec(fields=fields, scores=scores)
