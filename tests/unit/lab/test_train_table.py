"""The baseline ladder over fields: what is fitted, judged and let in, where truth is known."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from core.contracts import PERSON, Request
from core.errors import InvalidDocument
from lab.evaluation import Evaluation
from lab.fit_table import NO_LABEL, fit_ladder, last_known
from lab.risk_steps import Table, fit_step
from lab.table_data import TableData, read_table
from lab.table_money import act, threshold
from lab.temporal_split import split_rows
from lab.train_table import TrainedTable, train_table
from llm import ExtractiveDoor, Prompts
from router.language import LanguageDetector
from router.parts import LadderParts, build_ladder
from router.policy import CostPolicy
from router.risk import RiskModel
from router.rungs import Models
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.clock import FixedClock
from tests.fakes.table_world import TableWorld, table_spec

START = datetime(2026, 1, 1, tzinfo=UTC)
SILENT = RulesEngine.from_text("version: '1'\nhit_policy: first\n")
SPEAKING = RulesEngine.from_text(
    """
version: '1'
hit_policy: first
rules:
  - id: tiny
    when: {field: amount, lt: 20}
    outcome: grant
    reason: a tiny loan is no risk
"""
)


def data_of(world: TableWorld, rules: RulesEngine = SILENT, **spec: Any) -> TableData:
    return read_table(table_spec(**spec), world, rules)


@pytest.fixture(scope="module")
def trained() -> TrainedTable:
    return train_table(data_of(TableWorld(4000)), snapshot="of-the-test")


def figure(evaluation: Evaluation, step: str, metric: str) -> float:
    return next(s for s in evaluation.steps if s.name == step).figures[metric].mean


def test_a_model_that_knows_the_truth_earns_its_place(trained: TrainedTable) -> None:
    told = trained.evaluation
    assert told.gate.registered in ("linear", "boosted")
    assert figure(told, "constant", "auc") == 0.5
    assert figure(told, told.gate.registered, "auc") > 0.75
    assert figure(told, told.gate.registered, "cost") < figure(told, "constant", "cost")
    assert told.split.fit + told.split.validation + told.split.test + told.split.embargoed == 4000
    pairs = {(u.step, u.over) for u in told.uplifts if u.metric == "cost"}
    assert {("boosted", "linear"), ("boosted", "constant"), ("shallow_tree", "linear")} <= pairs


def test_every_figure_has_its_interval_and_n(trained: TrainedTable) -> None:
    for step in trained.evaluation.steps:
        assert bool(step.figures) != bool(step.absent)
        for one in step.figures.values():
            assert one.ci_low <= one.mean <= one.ci_high
            assert one.n == 800 and one.clusters is not None and one.clusters < 800


def test_labels_that_nothing_explains_leave_the_constant() -> None:
    world = TableWorld(2000)
    world.put("defaulted", (np.random.default_rng(3).random(2000) < 0.3).astype(int))
    told = train_table(data_of(world)).evaluation
    assert told.gate.registered == "constant"
    assert "nothing beats the base rate" in told.gate.problem


def test_a_step_must_pay_for_its_upkeep() -> None:
    dear = {
        "decisions_per_month": 100,
        "steps": {
            "boosted": {"upkeep": 5000},
            "linear": {"upkeep": 4000},
            "shallow_tree": {"upkeep": 4500},
        },
    }
    told = train_table(data_of(TableWorld(3000), gate=dear)).evaluation
    assert told.gate.registered == "constant"
    needed = {u.step: u.needed for u in told.uplifts if u.over == "constant" and u.metric == "cost"}
    assert (needed["linear"], needed["boosted"]) == (40, 50)


def test_the_rules_answer_first_and_are_a_step() -> None:
    data = data_of(TableWorld(3000), SPEAKING)
    told = train_table(data).evaluation
    steps = {step.name: step for step in told.steps}
    assert steps["rules"].figures and not steps["constant"].deployable
    settled = [said for said in data.said if said is not None]
    assert settled and set(settled) == {"grant"}


def test_rows_are_read_alike_in_any_order() -> None:
    world, shuffled = TableWorld(1000), TableWorld(1000)
    order = np.random.default_rng(1).permutation(1000)
    names = ["amount", "age", "channel", "customer", "defaulted", "_seq"]
    for name, values in shuffled.columns(names).items():
        shuffled.put(name, [values[place] for place in order])
    back = np.argsort(shuffled.columns(["_seq"])["_seq"])  # what a snapshot does at import
    for name, values in shuffled.columns(names).items():
        shuffled.put(name, [values[place] for place in back])
    first, second = (train_table(data_of(one)) for one in (world, shuffled))
    assert first.model.to_files() == second.model.to_files()


def test_the_same_rows_give_the_same_bytes_and_figures() -> None:
    first, second = (train_table(data_of(TableWorld(1500))) for _ in range(2))
    assert first.model.to_files() == second.model.to_files()
    assert first.evaluation == second.evaluation


def test_a_random_split_is_told_in_the_report() -> None:
    told = train_table(data_of(TableWorld(1500)), kind="random").evaluation
    assert told.split.kind == "random"
    assert any("random" in note for note in told.notes)


def test_a_truth_that_turns_over_shows_in_the_gap_between_the_splits() -> None:
    """Later rows follow the opposite truth: only the temporal split can see that."""
    world = TableWorld(3000)
    late = np.arange(3000) >= 2400
    source = np.random.default_rng(5)
    p = np.where(late, 1 - world.p, world.p)
    world.put("defaulted", (source.random(3000) < p).astype(int))
    told = train_table(data_of(world)).evaluation
    assert told.split_comparison is not None
    assert told.split_comparison.gap.ci_low > 0.1
    assert told.split_comparison.believe == "temporal"


def test_the_last_known_label_waits_for_its_delay() -> None:
    world = TableWorld(500, customers=20)
    data = data_of(world, time={"row_number": True, "label_delay_rows": 7})
    columns = world.columns(["customer", "defaulted"])
    found = last_known(data)
    for row in range(500):
        known = [
            before
            for before in range(row)
            if columns["customer"][before] == columns["customer"][row] and before + 7 <= row
        ]
        expected = columns["defaulted"][known[-1]] if known else NO_LABEL
        assert found[row] == expected


def test_the_linear_step_agrees_with_scikit_learn() -> None:
    source = np.random.default_rng(2)
    rows = source.normal(size=(900, 2))
    labels = (source.random(900) < 1 / (1 + np.exp(-rows[:, 0]))).astype(float)
    table = Table(rows=rows, labels=labels, names=("a", "b"))
    fit, later = np.arange(600), np.arange(600, 900)
    step = fit_step("linear", table, fit, later)
    centred = (rows - np.median(rows[:600], axis=0)) / rows[:600].std(axis=0)
    other = LogisticRegression(C=float(str(step.chosen["C"])), max_iter=500)
    other.fit(centred[:600], labels[:600])
    assert np.allclose(
        step.model.scorer.scores(rows), other.predict_proba(centred)[:, 1], atol=1e-6
    )


@pytest.mark.parametrize("name", ["constant", "linear", "shallow_tree", "boosted"])
def test_a_stored_step_predicts_the_same(name: str) -> None:
    data = data_of(TableWorld(800))
    split = split_rows(data.spec, 800, None)
    step = fit_step(name, data.table, split.fit, split.validation)
    again = RiskModel.from_files(step.model.to_files())
    rows = data.table.rows[split.test]
    assert np.array_equal(again.predict(rows), step.predict(rows))
    one = [float(again.predict(row[None, :])[0]) for row in rows[:50]]
    assert np.allclose(one, step.predict(rows[:50]), rtol=0, atol=1e-12)


def test_costs_lead_to_the_cheapest_of_outcome_and_person() -> None:
    spec = table_spec()
    p = np.array([0.0, 0.1, threshold(spec) - 0.01, threshold(spec) + 0.01, 0.5, 1.0])
    acted = act(spec, p, np.array([0.0, 0, 1, 1, 0, 1]), [None] * 6)
    names = [acted.outcomes[place] for place in acted.done]
    # decline when wrong: 20 · (1 - p); grant when wrong: 100 · p; a person: 30
    assert names == ["grant", "grant", "grant", "decline", "decline", "decline"]
    assert list(acted.cost) == [0, 0, 100, 0, 20, 0]
    dear = table_spec(
        costs={
            "currency": "EUR",
            "error": 50,
            "wrong_answer": 50,
            "person": {"price": 5, "minutes": 0, "error_rate": 0},
            "matrix": [
                {"outcome": "grant", "truth": "decline", "cost": 100},
                {"outcome": "decline", "truth": "grant", "cost": 20},
            ],
        }
    )
    acted = act(dear, p, np.zeros(6), [None] * 6)
    assert [acted.outcomes[place] for place in acted.done][2:5] == [PERSON, PERSON, PERSON]


LATENT = """
version: '1'
hit_policy: first
rules:
  - id: large
    when: {field: amount, gt: 900}
    outcome: decline
    reason: too large
"""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rungs": {"classical": {"price": 0.5}}},
        {"rungs": {"classical": {"price": 29}}},
        {"ladder": ["classical", "person"]},
        {"abstain_alpha": 0.3},
    ],
    ids=["as it is", "a priced model", "a dear model", "without rules", "conformal"],
)
def test_the_ladder_does_what_the_evaluation_counted(more: dict[str, Any]) -> None:
    """Every test row through the deployed ladder, against what was done with it on paper."""
    base = table_spec()
    told: dict[str, Any] = {}
    if "rungs" in more:
        told["costs"] = {**base.costs.model_dump(mode="json"), "rungs": more["rungs"]}
        told["budgets"] = {**base.budgets.model_dump(mode="json"), "price_per_decision": 50}
    if "ladder" in more:
        told["ladder"] = more["ladder"]
    if "abstain_alpha" in more and base.risk:
        told["risk"] = {**base.risk.model_dump(mode="json"), **more}
    world, rules = TableWorld(2000), RulesEngine.from_text(LATENT)
    data = read_table(table_spec(**told), world, rules)
    split = split_rows(data.spec, 2000, None)
    step = next(s for s in fit_ladder(data, split).steps if s.name == "linear")
    assert step.model is not None
    parts = LadderParts(
        decision_yaml="",
        rules_yaml="",
        spec=data.spec,
        rules=rules,
        intents=None,
        risk=replace(step.model, least=step.asking.least),
        prompts=Prompts.load(),
        retrievers={},
        support=SupportModel(),
        policy=CostPolicy(costs=data.spec.costs, after=step.asking.bins(400)),
    )
    ladder = build_ladder(
        parts,
        release="r",
        door=ExtractiveDoor(),
        models=Models(),
        languages=LanguageDetector(),
        clock=FixedClock(),
    )
    rows = split.test[:200]
    acted = act(
        data.spec,
        step.probabilities[rows],
        data.table.labels[rows],
        [data.said[row] for row in rows],
        step.asking,
    )
    expected = [acted.outcomes[place] for place in acted.done]

    async def decided() -> list[str]:
        found = []
        for row in rows:
            facts = {name: values[row] for name, values in data.facts.items()}
            request = Request(
                id="x", tenant_id="t", decision="loans", facts=facts, received_at=START
            )
            decision = await ladder.decide(request)
            found.append(next(iter(decision.outcomes), PERSON))
        return found

    assert asyncio.run(decided()) == expected
    assert len(set(expected)) > 1


def test_rules_settle_rows_whatever_the_model_says() -> None:
    spec = table_spec()
    acted = act(spec, np.array([0.9, 0.9]), np.array([1.0, 0.0]), ["grant", PERSON])
    assert [acted.outcomes[place] for place in acted.done] == ["grant", PERSON]
    assert list(acted.cost) == [100, 30]


def test_weights_and_thresholds_are_compared_in_money(trained: TrainedTable) -> None:
    told = trained.evaluation.weighting
    assert told is not None
    assert told.diff.mean == pytest.approx(told.weighted.mean - told.thresholds_alone.mean)


def test_conformal_sets_hold_the_truth_about_nine_times_in_ten(trained: TrainedTable) -> None:
    told = trained.evaluation.conformal
    assert told is not None and 0.85 < told.covered.mean < 0.95


@pytest.mark.parametrize(("better", "verdict"), [("higher", "together"), ("lower", "against")])
def test_what_is_saved_is_held_against_the_kpi(better: str, verdict: str) -> None:
    world = TableWorld(2000)
    world.put("loss", [100.0 * label for label in world.columns(["defaulted"])["defaulted"]])
    data = data_of(world, training={"kpi": "loss"})
    kpi = data.spec.framing.kpi.model_copy(update={"better": better})
    framing = data.spec.framing.model_copy(update={"kpi": kpi})
    data = replace(data, spec=data.spec.model_copy(update={"framing": framing}))
    told = train_table(data).evaluation.together
    assert told is not None and told.verdict == verdict
    assert told.correlation is not None and told.correlation.n == 400


@pytest.mark.parametrize(
    ("rows", "positive", "code"),
    [(100, 50, "RUNG-TABLE-SHORT"), (400, 2, "RUNG-RISK-LABELS")],
)
def test_too_little_is_refused(rows: int, positive: int, code: str) -> None:
    world = TableWorld(rows)
    world.put("defaulted", [1] * positive + [0] * (rows - positive))
    with pytest.raises(InvalidDocument) as caught:
        data_of(world)
    assert caught.value.code == code


def test_a_part_with_one_label_alone_is_refused() -> None:
    world = TableWorld(1000)
    world.put("defaulted", [1] * 300 + [0] * 700)
    data = data_of(world)
    with pytest.raises(InvalidDocument, match="validation"):
        fit_ladder(data, split_rows(data.spec, 1000, None))


def test_the_registered_model_ranks_as_the_report_says(trained: TrainedTable) -> None:
    data = data_of(TableWorld(4000))
    test = split_rows(data.spec, 4000, None).test
    auc = roc_auc_score(data.table.labels[test], trained.model.predict(data.table.rows[test]))
    assert auc == pytest.approx(
        figure(trained.evaluation, trained.evaluation.gate.registered, "auc")
    )
