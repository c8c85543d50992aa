"""The stored form of an evaluation: its schema is published, and figures change their unit."""

import json
from pathlib import Path
from typing import Any

from lab.evaluation import Evaluation, Figure

SCHEMA = Path(__file__).parents[3] / "docs/reference/schemas/evaluation.json"


def test_the_published_schema_is_the_model_s() -> None:
    published: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    own = Evaluation.model_json_schema()
    assert {**published, "title": own["title"]} == {"$schema": published["$schema"], **own}


def test_a_figure_in_another_unit_keeps_its_n() -> None:
    month = Figure(mean=1.5, ci_low=1.0, ci_high=2.0, n=7, clusters=3).times(1000)
    assert month == Figure(mean=1500, ci_low=1000, ci_high=2000, n=7, clusters=3)
