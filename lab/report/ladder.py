"""The ladder in a report: every step's figures and uplifts, and the comparison of splits."""

from lab.evaluation import Evaluation, SplitComparison, StepReport, Uplift
from lab.report.amounts import SHARES, amount, figure_cell, figure_text, metric_name
from lab.report.blocks import (
    Block,
    Cell,
    Column,
    Drawing,
    Mark,
    Section,
    Table,
    Text,
    columns,
    texts,
)

REGISTERED = Mark(symbol="◆", word="registered", tone="good")
YARDSTICK = Mark(symbol="○", word="not deployable", tone="plain")
ABSENT = Mark(symbol="-", word="no figures", tone="unknown")
BETTER = Mark(symbol="✓", word="beats it", tone="good")
WORSE = Mark(symbol="✗", word="is worse", tone="bad")
UNSHOWN = Mark(symbol="✗", word="not shown to beat it", tone="bad")


def ladder_section(evaluation: Evaluation) -> Section:
    metrics = _metrics(evaluation)
    caption = (
        f"Compared by {metric_name(evaluation.metric)} ({evaluation.unit}), {evaluation.better} is "
        "better. With each figure: its 95 % interval and n. What is not deployable is a yardstick "
        "that says whether there is more to gain."
    )
    names = [
        Column(name="step"),
        *(Column(name=metric_name(metric), number=True) for metric in metrics),
    ]
    rows = tuple(_step(evaluation, step, metrics) for step in evaluation.steps)
    blocks: list[Block] = [Table(columns=tuple(names), rows=rows, caption=caption)]
    if share := _share(evaluation):
        blocks.append(Text(text=share))
    blocks += _settled(evaluation)
    if evaluation.uplifts:
        blocks += _uplifts(evaluation)
    return Section(key="ladder", title="The ladder, from the simplest step", blocks=tuple(blocks))


def _metrics(evaluation: Evaluation) -> list[str]:
    """The deciding one first, then all others in the order in which steps have them."""
    found = dict.fromkeys([evaluation.metric])
    for step in evaluation.steps:
        found.update(dict.fromkeys(step.figures))
    return list(found)


def _step(evaluation: Evaluation, step: StepReport, metrics: list[str]) -> tuple[Cell, ...]:
    mark = None
    if step.name == evaluation.gate.registered:
        mark = REGISTERED
    elif not step.figures:
        mark = ABSENT
    elif not step.deployable:
        mark = YARDSTICK
    name = Cell(text=step.name, detail=step.meaning, mark=mark)
    if not step.figures:
        return name, Cell(text=step.absent or "not measured", span=len(metrics))
    return name, *(
        figure_cell(step.figures.get(metric), share=metric in SHARES) for metric in metrics
    )


def _share(evaluation: Evaluation) -> str:
    own = evaluation.share_of_heaviest
    if own is None:
        return ""
    share = figure_text(own.share, share=True)
    return (
        f"{own.step} reaches {share}, of what {evaluation.gate.heaviest}, the heaviest step, "
        f"reaches by {metric_name(own.metric)}."
    )


def _settled(evaluation: Evaluation) -> list[Block]:
    rows = tuple(
        texts(step.name, ", ".join(f"{name} = {_value(own)}" for name, own in step.chosen.items()))
        for step in evaluation.steps
        if step.chosen
    )
    if not rows:
        return []
    heads = columns("step", "settled")
    return [Table(columns=heads, rows=rows, caption="What validation rows settled", folded=True)]


def _value(value: str | float | int | bool | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else amount(value)


def main_uplifts(evaluation: Evaluation) -> list[Uplift]:
    return [one for one in evaluation.uplifts if one.metric == evaluation.metric]


def _uplifts(evaluation: Evaluation) -> list[Block]:
    metric = metric_name(evaluation.metric)
    plotted = main_uplifts(evaluation)
    blocks: list[Block] = []
    if plotted:
        beaten = sum(_beats(one) is BETTER for one in plotted)
        blocks.append(
            Drawing(
                name="uplifts",
                label=(
                    f"Uplift of every step over every simpler one by {metric}: {beaten} of "
                    f"{len(plotted)} pairs reach what is needed. The table below has the figures."
                ),
                caption=(
                    f"Uplift by {metric} ({evaluation.unit}), paired by row, with 95 % intervals. "
                    "The whole interval must lie right of the mark | for the step to count as "
                    "better (circle, otherwise a square)."
                ),
            )
        )
    rows = tuple(
        (
            Cell(text=f"{one.step} over {one.over}"),
            Cell(text=metric_name(one.metric)),
            figure_cell(one.diff, signed=True),
            Cell(text=amount(one.needed) if one.needed else "above 0", number=True),
            Cell(mark=_beats(one)),
        )
        for one in evaluation.uplifts
    )
    heads = columns("step", "metric", "uplift", "needed", "verdict", numbers=("uplift", "needed"))
    caption = "Uplift of every step over every simpler one, in figures"
    return [*blocks, Table(columns=heads, rows=rows, caption=caption, folded=True)]


def _beats(one: Uplift) -> Mark:
    if one.diff.ci_low > 0 and one.diff.ci_low >= one.needed:
        return BETTER
    return WORSE if one.diff.ci_high < 0 else UNSHOWN


def comparison_section(own: SplitComparison) -> Section:
    metric = metric_name(own.metric)
    rows = tuple(
        (
            Cell(text=f"{name} split", mark=_believed(own, name)),
            figure_cell(figure),
        )
        for name, figure in (("random", own.random), ("temporal", own.temporal))
    )
    gap = figure_text(own.gap, signed=True)
    told = f"The gap (random less temporal) of {metric} is {gap} a side. Why: {own.why}."
    return Section(
        key="splits",
        title="Random against temporal split",
        blocks=(
            Text(text=f"Believe the {own.believe} split.", strong=True),
            Text(text=told),
            Drawing(
                name="splits",
                label=f"{metric} of {own.step} by split: the figures are in the table below.",
                caption=f"{metric} of {own.step}, the same recipe on both splits, 95 % intervals.",
            ),
            Table(columns=columns("split", metric, numbers=(metric,)), rows=rows),
        ),
    )


def _believed(own: SplitComparison, name: str) -> Mark | None:
    return Mark(symbol="◆", word="believe this", tone="good") if own.believe == name else None
