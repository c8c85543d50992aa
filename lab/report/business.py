"""Money and KPI in a report: cost curve, weighting, whether target and KPI move together."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.evaluation import CostCurve, Together, Weighting
from lab.report.amounts import amount, figure_cell
from lab.report.blocks import (
    Block,
    Bullets,
    Cell,
    Drawing,
    Mark,
    Section,
    Table,
    Text,
    columns,
    texts,
)

TOGETHER = {
    "together": Mark(symbol="✓", word="together", tone="good"),
    "against": Mark(symbol="✗", word="against each other", tone="bad"),
    "unclear": Mark(symbol="?", word="unclear", tone="unknown"),
    "not measured": Mark(symbol="?", word="not measured", tone="unknown"),
}
OUTCOMES = {
    "issue": Mark(symbol="✗", word="issue", tone="bad"),
    "tip": Mark(symbol="▲", word="tip", tone="unknown"),
    "insufficient data": Mark(symbol="?", word="insufficient data", tone="unknown"),
    "passed": Mark(symbol="✓", word="passed", tone="good"),
    "not applicable": Mark(symbol="-", word="not applicable", tone="plain"),
}


def cost_section(curve: CostCurve | None, weighting: Weighting | None, unit: str) -> Section | None:
    blocks: list[Block] = []
    if curve is not None:
        blocks += _cost_curve(curve, unit)
    if weighting is not None:
        blocks += _weighting(weighting, unit)
    if not blocks:
        return None
    return Section(key="cost", title="Cost by threshold", blocks=tuple(blocks))


def _cost_curve(own: CostCurve, unit: str) -> list[Block]:
    chosen = amount(own.chosen)
    rows = (
        (Cell(text=f"at the threshold {chosen}"), figure_cell(own.at_chosen)),
        (Cell(text="by the policy, which may ask a person"), figure_cell(own.policy)),
    )
    return [
        Drawing(
            name="cost",
            label=(
                f"Cost of {own.step} by threshold; the chosen threshold is {chosen}. The table "
                "below has its cost and that of the policy."
            ),
            caption=(
                f"What {own.step} costs ({unit}) if every probability at or above a threshold is "
                f"taken for positive. The costs imply a threshold of {chosen}."
            ),
        ),
        Table(columns=columns("way", unit, numbers=(unit,)), rows=rows),
    ]


def _weighting(own: Weighting, unit: str) -> list[Block]:
    rows = (
        (Cell(text="thresholds alone"), figure_cell(own.thresholds_alone)),
        (Cell(text="fitted with weights"), figure_cell(own.weighted)),
        (Cell(text="weights less thresholds"), figure_cell(own.diff, signed=True)),
    )
    return [
        Table(
            columns=columns("fitting", unit, numbers=(unit,)),
            rows=rows,
            caption=(
                f"{own.step} fitted with weights from the costs, against thresholds alone; below "
                f"0 weights are cheaper. Validation rows chose: {own.chosen}."
            ),
        )
    ]


def together_section(own: Together) -> Section:
    rows = (
        (
            Cell(text=own.kpi, mark=TOGETHER[own.verdict]),
            figure_cell(own.correlation, signed=True, absent="not measured"),
            Cell(text=own.why),
        ),
    )
    heads = columns("KPI", "rank correlation", "why", numbers=("rank correlation",))
    return Section(
        key="kpi",
        title="Target and KPI together",
        blocks=(
            Table(
                columns=heads,
                rows=rows,
                caption="Whether decisions that cost less go with a better KPI.",
            ),
        ),
    )


def notes_section(notes: Sequence[str]) -> Section:
    return Section(key="notes", title="Notes", blocks=(Bullets(items=tuple(notes)),))


def checks_section(checks: Sequence[Mapping[str, Any]]) -> Section:
    """`checks` as `CheckResult.to_json` gives them; what needs a person comes first."""
    order = list(OUTCOMES)
    ordered = sorted(checks, key=lambda one: order.index(str(one["outcome"])))
    counts = {name: sum(one["outcome"] == name for one in checks) for name in order}
    told = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
    rows = tuple(
        (
            Cell(text=str(one["code"]), detail=f"severity {one['severity']}"),
            Cell(mark=OUTCOMES[str(one["outcome"])]),
            *texts(str(one["title"])),
            Cell(text=str(one["evidence"]), detail=_what_to_do(one)),
        )
        for one in ordered
    )
    heads = columns("check", "outcome", "what it looks for", "evidence, and what to do")
    return Section(
        key="checks",
        title="Checks of the data",
        blocks=(
            Text(text=f"{len(checks)} checks: {told}."),
            Table(columns=heads, rows=rows),
        ),
    )


def _what_to_do(check: Mapping[str, Any]) -> str:
    """Its page is named and no link: where the report is read the docs may not lie."""
    return " ".join(part for part in (str(check["way_out"]), f"See {check['page']}.") if part)
