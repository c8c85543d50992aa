"""Two public tables whose traps are known, through the whole lab."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.errors import InvalidDocument
from core.spec import DecisionSpec, parse_spec
from lab.checks import run_checks
from lab.draft_spec import draft
from lab.report import render_html
from lab.snapshots import Snapshot, SnapshotStore
from lab.table_data import read_table
from lab.train_table import TrainedTable, train_table
from rules.ruleset import RulesEngine

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real data does not lie beside the project"
)
BANK = DATA / "bank_marketing" / "bank-additional-full.csv.gz"
MISSED = "{outcome: leave_as_it_is, truth: act_on_y, cost: 40}"
CALLED_IN_VAIN = "{outcome: act_on_y, truth: leave_as_it_is, cost: 4}"
NO_RULES = RulesEngine.from_text("version: '1'\nhit_policy: first\n")


@pytest.fixture(scope="module")
def drafted() -> str:
    return draft(BANK, "deposits", label="y", positive="yes")


@pytest.fixture(scope="module")
def honest(drafted: str) -> DecisionSpec:
    """The questions of the draft answered: `duration` is known after the call only, and a missed
    deposit costs ten calls."""
    kept = [line for line in drafted.splitlines() if not line.startswith("    duration: {kind")]
    text = "\n".join(kept)
    for question, answer in (
        ("duration: {type: integer}", "duration: {type: integer, available: false}"),
        ("{outcome: leave_as_it_is, truth: act_on_y, cost: 1}", MISSED),
        ("{outcome: act_on_y, truth: leave_as_it_is, cost: 1}", CALLED_IN_VAIN),
        ("person: {price: 1,", "person: {price: 6,"),
    ):
        assert question in text
        text = text.replace(question, answer)
    return parse_spec(text)


@pytest.fixture(scope="module")
def snapshot(honest: DecisionSpec, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    store = SnapshotStore(tmp_path_factory.mktemp("snapshots"), SystemClock())
    return store.put("t", honest, BANK)


@pytest.fixture(scope="module")
def trained(honest: DecisionSpec, snapshot: Snapshot) -> TrainedTable:
    return train_table(read_table(honest, snapshot, NO_RULES), snapshot=snapshot.id)


def test_duration_declared_as_known_afterwards_is_refused_as_a_feature(drafted: str) -> None:
    text = drafted.replace(
        "duration: {type: integer}", "duration: {type: integer, available: false}"
    )
    with pytest.raises(InvalidDocument, match="not available at prediction") as caught:
        parse_spec(text)
    assert caught.value.line is not None


def test_duration_is_flagged_where_nobody_declared_it(drafted: str, tmp_path: Path) -> None:
    spec = parse_spec(drafted)
    rows = SnapshotStore(tmp_path, SystemClock()).put("t", spec, BANK)
    found = {one.code: one for one in run_checks(spec, rows)}
    assert found["LEAK-DOMINANT"].outcome == "issue"
    assert "duration" in found["LEAK-DOMINANT"].evidence


def test_the_random_split_promises_what_time_does_not_keep(trained: TrainedTable) -> None:
    told = trained.evaluation.split_comparison
    assert told is not None
    assert told.random.mean == pytest.approx(0.79, abs=0.02)
    assert told.gap.ci_low >= 0.10 and told.believe == "temporal"
    for figure in (told.random, told.temporal, told.gap):
        assert figure.ci_low < figure.mean < figure.ci_high and figure.n > 8000
    page = render_html(trained.evaluation)
    assert f"{told.random.mean:.3f}" in page and f"{told.temporal.mean:.3f}" in page


def test_the_gate_names_its_reasons(trained: TrainedTable) -> None:
    gate = trained.evaluation.gate
    codes = {reason.code for reason in gate.reasons}
    assert {"GATE-UPLIFT", "GATE-SLICE", "GATE-CALIBRATION", "GATE-LATENCY"} <= codes
    base = trained.evaluation.split.base_rate
    assert base["fit"] == pytest.approx(0.048, abs=0.001)
    assert base["test"] == pytest.approx(0.308, abs=0.001)
    assert trained.evaluation.conformal is not None
    assert trained.evaluation.conformal.covered.mean < 0.85  # 90 % do not hold over that shift


def test_the_same_snapshot_is_the_same_model(
    honest: DecisionSpec, snapshot: Snapshot, trained: TrainedTable
) -> None:
    again = train_table(read_table(honest, snapshot, NO_RULES), snapshot=snapshot.id)
    assert again.model.to_files() == trained.model.to_files()
    assert again.evaluation == trained.evaluation


def test_the_leaks_of_hotel_bookings_are_found_without_being_told(tmp_path: Path) -> None:
    table = DATA / "hotel_bookings" / "hotel_bookings.csv.gz"
    spec = parse_spec(draft(table, "hotel", label="is_canceled"))
    rows = SnapshotStore(tmp_path, SystemClock()).put("t", spec, table)
    found: dict[str, Any] = {one.code: one for one in run_checks(spec, rows)}
    assert found["LEAK-TARGET-COPY"].outcome == "issue"
    assert "reservation_status" in found["LEAK-TARGET-COPY"].evidence
    assert found["LEAK-DERIVED"].outcome == "issue"
    told = json.dumps(found["LEAK-DERIVED"].to_json())
    assert "reservation_status_date" in told and "arrival_date_day_of_month" in told
    assert "0.999" in told
