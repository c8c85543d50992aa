"""Both paths read alike, and every fault that is planted in one of them is told."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.spec import DecisionSpec, load_spec, parse_spec
from core.spec.entities import EntityType
from lab.drawn_requests import Drawn, draw
from lab.parity import Computed, Progress, ReadsRequests, compare, offline
from tests.fakes.entity_decision import DECISION
from tests.schemas import faults

SPEC = parse_spec(DECISION)
ROOT = Path(__file__).parents[3]
REQUESTS = 300


def told(spec: DecisionSpec, path: ReadsRequests, requests: int = REQUESTS) -> dict[str, Any]:
    report = compare(spec, requests=requests, seed=5, offline=path)
    assert faults("parity", report) == []
    assert report["compared"] == requests
    return report


def test_no_difference() -> None:
    report = told(SPEC, offline, 2_000)
    assert (report["differences"], report["max_abs_diff"], report["examples"]) == (0, 0.0, [])
    assert report["events"] == {"customer": 2_000, "merchant": 2_000}
    assert "risk.features.hour" in report["values"]
    assert "entities.last_fee" in report["values"] and "request.purpose" in report["values"]


@pytest.mark.parametrize("folder", ["cli/template", "examples/payments_support"])
def test_decisions_with_a_text(folder: str) -> None:
    assert told(load_spec(ROOT / folder), offline, 200)["differences"] == 0


def float32(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    found = offline(spec, drawn, progress)
    return replace(found, values=found.values.astype(np.float32).astype(np.float64))


def filled_with_zero(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    found = offline(spec, drawn, progress)
    return replace(found, values=np.nan_to_num(found.values))


def local_time(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    """The clock on the wall is taken for UTC."""

    def local(value: Any) -> str:
        return datetime.fromisoformat(value).replace(tzinfo=None).isoformat() + "+00:00"

    times = [name for name, field in spec.request.fields.items() if field.type == "time"]
    requests = [
        {name: local(v) if name in times and v else v for name, v in raw.items()}
        for raw in drawn.requests
    ]
    return offline(spec, replace(drawn, requests=requests), progress)


def other_codes(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    """Categories numbered in alphabetical order, not in the declared one."""
    fields = {
        name: field.model_copy(update={"values": tuple(sorted(field.values))})
        for name, field in spec.request.fields.items()
    }
    request = spec.request.model_copy(update={"fields": fields})
    return offline(spec.model_copy(update={"request": request}), drawn, progress)


def known_at_once(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    """The leak of a join by the event's time alone."""
    events = {
        name: [replace(event, known_at=event.happened_at) for event in told]
        for name, told in drawn.events.items()
    }
    return offline(spec, replace(drawn, events=events), progress)


def without_redaction(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    found = offline(spec, drawn, progress)
    return replace(found, texts={"purpose": [raw.get("purpose") for raw in drawn.requests]})  # type: ignore[misc]


def never_stale(spec: DecisionSpec, drawn: Drawn, progress: Progress) -> Computed:
    return offline(_each_entity(spec, fresh_within_hours=None), drawn, progress)


def _each_entity(spec: DecisionSpec, **changed: Any) -> DecisionSpec:
    entities: dict[str, EntityType] = {
        name: kind.model_copy(update=changed) for name, kind in spec.entities.items()
    }
    return spec.model_copy(update={"entities": entities})


@pytest.mark.parametrize(
    ("fault", "shows_in"),
    [
        (float32, "risk.features.amount"),
        (filled_with_zero, "risk.features.relative"),
        (local_time, "risk.features.hour"),
        (other_codes, "risk.features.country"),
        (known_at_once, "entities.spent_30d"),
        (without_redaction, "request.purpose"),
    ],
)
def test_a_planted_fault_is_told(fault: ReadsRequests, shows_in: str) -> None:
    report = told(SPEC, fault)
    assert report["differences"] > 0 and report["examples"]
    if fault not in (filled_with_zero, without_redaction):
        assert report["max_abs_diff"] > 0
    alone = [name for name in report["values"] if name == shows_in]
    assert alone  # it is compared, and the fault is seen there
    assert shows_in in differing(fault)


def differing(fault: ReadsRequests) -> set[str]:
    """The values in which the fault shows at all, by the paths' own results."""
    drawn = draw(SPEC, requests=REQUESTS, seed=5)
    good, bad = (path(SPEC, drawn, lambda *_: None) for path in (offline, fault))
    same = (good.values == bad.values) | (np.isnan(good.values) & np.isnan(bad.values))
    from lab.parity import names_of

    names = {name for name, column in zip(names_of(SPEC), same.T, strict=True) if not column.all()}
    texts = {f"request.{name}" for name in good.texts if good.texts[name] != bad.texts[name]}
    return names | texts


def test_a_limit_of_freshness_that_one_path_forgets_is_told() -> None:
    short = _each_entity(SPEC, fresh_within_hours=0.5)
    assert told(short, offline)["differences"] == 0
    assert told(short, never_stale)["differences"] > 0


def test_the_same_seed_draws_the_same() -> None:
    one, again, other = (draw(SPEC, requests=50, seed=seed) for seed in (1, 1, 2))
    assert one == again and one != other


def test_what_is_drawn_has_its_edges() -> None:
    drawn = draw(SPEC, requests=2_000, seed=0)
    column: dict[str, list[Any]] = {
        name: [raw.get(name) for raw in drawn.requests] for name in SPEC.request.fields
    }
    assert {0.0, 1e6} <= set(column["amount"]) and None not in column["amount"]
    assert {None, 0, 9} <= set(column["tries"])
    assert {None, "fr", "de", "nl", "never seen"} == set(column["country"])
    assert len({moment[-6:] for moment in column["ordered_at"]}) >= 5  # zones
    known = {event.known_at for event in drawn.events["customer"]}
    moments = {datetime.fromisoformat(moment) for moment in column["ordered_at"]}
    assert known & moments  # at the very microsecond
    late = [e for e in drawn.events["customer"] if (e.known_at - e.happened_at).days >= 3]
    assert late


@pytest.mark.slow
def test_no_difference_in_a_hundred_thousand() -> None:
    assert told(SPEC, offline, 100_000)["differences"] == 0
