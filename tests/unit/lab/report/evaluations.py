"""Evaluations to draw: one with every section, a ranker's, and the least that there can be."""

from typing import Any

from lab.evaluation import (
    Conformal,
    Confusion,
    CostCurve,
    Curve,
    Evaluation,
    Figure,
    GateReason,
    GateReport,
    Money,
    Reliability,
    ReliabilityBin,
    ShareOfHeaviest,
    SliceRow,
    SplitComparison,
    SplitReport,
    StepReport,
    Together,
    Uplift,
    Weighting,
)

HOSTILE = "<script>alert('$x$')</script> | a\nb `c`"


def figure(mean: float, spread: float = 0.1, n: int = 1200, clusters: int | None = 300) -> Figure:
    return Figure(mean=mean, ci_low=mean - spread, ci_high=mean + spread, n=n, clusters=clusters)


def slice_row(value: str, verdict: Any = "holds", **others: Any) -> SliceRow:
    told: dict[str, Any] = {
        "slice": "region",
        "value": value,
        "n": 120,
        "bound": 0.25,
        "figure": figure(2.0, n=120),
        "diff": figure(-0.3, n=120),
        "q": 0.4,
        "verdict": verdict,
    }
    return SliceRow(**{**told, **others})


def whole(**others: Any) -> Evaluation:
    """Of a table, with a value in a slice that wants to be markup."""
    told: dict[str, Any] = {
        "kind": "table",
        "decision": "term_deposit",
        "snapshot": "sha256:abc",
        "metric": "cost",
        "better": "lower",
        "unit": "EUR a decision",
        "split": SplitReport(
            kind="temporal",
            fit=24713,
            validation=8237,
            test=1200,
            embargoed=1042,
            cuts=("2024-03-01", "2024-06-01"),
            base_rate={"fit": 0.048, "validation": 0.11, "test": 0.308},
        ),
        "steps": (
            StepReport(
                name="constant",
                meaning="the base rate",
                figures={"cost": figure(12.333), "auc": figure(0.5, 0.0)},
            ),
            StepReport(
                name="last_label",
                meaning="the newest label",
                deployable=False,
                figures={"cost": figure(11.2)},
            ),
            StepReport(
                name="rules", meaning="the rules", deployable=False, absent="no rule speaks"
            ),
            StepReport(
                name="linear",
                meaning="logistic regression",
                figures={"cost": figure(2.7667), "auc": figure(0.7412, 0.02)},
                chosen={"C": 0.01, "trees": 80, "balanced": True, "depth": None},
            ),
        ),
        "uplifts": (
            Uplift(step="linear", over="constant", metric="cost", diff=figure(9.566), needed=0.5),
            Uplift(step="linear", over="constant", metric="log_loss", diff=figure(0.05)),
        ),
        "share_of_heaviest": ShareOfHeaviest(
            step="linear", metric="money saved", share=figure(1.097, 0.04)
        ),
        "gate": GateReport(
            registered="linear",
            heaviest="boosted",
            reasons=(
                GateReason(code="GATE-UPLIFT", holds=True, what="linear over constant"),
                GateReason(code="GATE-UPLIFT", holds=False, what="boosted over linear"),
                GateReason(code="GATE-PARITY", holds=None, what="parity was not measured"),
            ),
        ),
        "split_comparison": SplitComparison(
            step="boosted",
            metric="auc",
            random=figure(0.796, 0.02),
            temporal=figure(0.591, 0.013),
            gap=figure(0.2058, 0.024),
            believe="temporal",
            why="requests to come are decided on",
        ),
        "slices": (
            slice_row("fine"),
            slice_row("few", "insufficient data", diff=None, q=None, n=7, critical=True),
            slice_row(HOSTILE, "worse", diff=figure(0.6, n=120), q=0.0001),
        ),
        "reliability": Reliability(
            step="boosted",
            bins=(
                ReliabilityBin(confidence=0.1, observed=0.11, n=900, null_low=0.08, null_high=0.12),
                ReliabilityBin(confidence=0.6, observed=0.8, n=300, null_low=0.5, null_high=0.7),
            ),
            ece=figure(0.031, 0.008),
            ece_null_mean=0.012,
            ece_null_p95=0.0204,
            ece_null_p99=0.0243,
            brier=figure(0.121, 0.004),
            log_loss=figure(0.3456, 0.009),
            method="platt",
        ),
        "curves": (
            Curve(
                name="roc",
                step="linear",
                area=figure(0.741, 0.02),
                points=((0.0, 0.0), (0.2, 0.6), (1.0, 1.0)),
            ),
            Curve(
                name="precision_recall",
                step="linear",
                area=figure(0.512, 0.03),
                points=((0.0, 1.0), (0.5, 0.6), (1.0, 0.308)),
                baseline=0.308,
            ),
        ),
        "cost_curve": CostCurve(
            step="linear",
            points=((0.0, 2.8), (0.5, 6.0), (1.0, 12.3)),
            chosen=0.0909,
            at_chosen=figure(2.81),
            policy=figure(2.7667),
        ),
        "weighting": Weighting(
            step="boosted",
            thresholds_alone=figure(3.614),
            weighted=figure(3.437),
            diff=figure(-0.177, 0.19),
            chosen="thresholds",
        ),
        "conformal": Conformal(
            alpha=0.1, covered=figure(0.69, 0.01), answered=figure(0.8, 0.01), right=None
        ),
        "confusion": Confusion(
            truths=("skip", "call"), outcomes=("call", "skip"), counts=((700, 300), (40, 160))
        ),
        "money": Money(
            currency="EUR",
            decisions_per_month=10_000,
            cost=figure(27_666.9, 378),
            saved=figure(95_663.99, 4400),
        ),
        "together": Together(
            kpi="deposits", correlation=figure(0.32, 0.1), verdict="together", why="they agree"
        ),
        "notes": ("No entity is declared.",),
    }
    return Evaluation(**{**told, **others})


def ranker() -> Evaluation:
    steps = (("bm25", 0.6512), ("hybrid", 0.7011), ("learned", 0.7022))
    return Evaluation(
        kind="ranker",
        decision="scifact",
        metric="ndcg@10",
        better="higher",
        unit="mean over queries, linear gain",
        split=SplitReport(kind="given", fit=700, validation=109, test=300),
        steps=tuple(
            StepReport(
                name=name,
                meaning=name,
                figures={"ndcg@10": figure(mean, 0.04, n=300, clusters=None)},
            )
            for name, mean in steps
        ),
        uplifts=(
            Uplift(
                step="learned",
                over="hybrid",
                metric="ndcg@10",
                diff=figure(0.0011, 0.008, n=300, clusters=None),
            ),
        ),
        gate=GateReport(registered="hybrid", heaviest="learned", reasons=()),
    )


def least() -> Evaluation:
    return Evaluation(
        kind="decision",
        decision="support",
        metric="cost",
        better="lower",
        unit="EUR a decision",
        split=SplitReport(kind="given", fit=0, validation=0, test=3),
        steps=(StepReport(name="person", meaning="a person", figures={"cost": figure(4.0, n=3)}),),
        gate=GateReport(registered="person", heaviest="person", reasons=()),
    )


CHECKS: tuple[dict[str, Any], ...] = (
    {
        "code": "CHECK-DUPLICATES",
        "title": "Rows on both sides",
        "severity": "high",
        "outcome": "passed",
        "evidence": "0 of 8,238",
        "figures": {},
        "page": "docs/reference/checks.md",
        "way_out": "",
    },
    {
        "code": "CHECK-TARGET",
        "title": "A leak of the target",
        "severity": "high",
        "outcome": "issue",
        "evidence": "duration | AUC 0.82 <b>",
        "figures": {},
        "page": "docs/reference/checks.md",
        "way_out": "Declare when it is known.",
    },
)
