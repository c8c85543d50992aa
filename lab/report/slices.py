"""The slices in a report: what is worse comes first, and too few rows is no pass."""

from lab.evaluation import Evaluation, SliceRow
from lab.report.amounts import amount, count, figure_cell
from lab.report.blocks import Cell, Drawing, Mark, Section, Table, Text, columns

MOST_PLOTTED = 40  # rows that still fit a screen and can be told apart
VERDICTS = {
    "worse": Mark(symbol="✗", word="worse", tone="bad"),
    "insufficient data": Mark(symbol="?", word="insufficient data", tone="unknown"),
    "holds": Mark(symbol="✓", word="holds", tone="good"),
}
ORDER = ("worse", "insufficient data", "holds")


def in_order(rows: tuple[SliceRow, ...]) -> list[SliceRow]:
    """Flagged first, critical before others; otherwise as given."""
    return sorted(rows, key=lambda row: (ORDER.index(row.verdict), not row.critical))


def slice_name(row: SliceRow) -> str:
    return f"{row.slice} = {row.value}"


def plotted(rows: tuple[SliceRow, ...]) -> list[SliceRow]:
    return in_order(rows)[:MOST_PLOTTED]


def slices_section(evaluation: Evaluation) -> Section:
    rows = evaluation.slices
    counts = {name: sum(row.verdict == name for row in rows) for name in ORDER}
    told = (
        f"Slices that are worse: {counts['worse']}; that hold: {counts['holds']}; with too few "
        f"rows to say, which is no pass: {counts['insufficient data']}. Extra cost is that of "
        f"{evaluation.gate.registered} over {evaluation.slices_over} "
        f"({evaluation.unit}); above 0 is worse. q is the p-value after Benjamini-Hochberg over "
        "all slices."
    )
    caption = (
        "Extra cost by slice with 95 % intervals; right of 0 is worse, | is the bound. "
        "Circle: holds; square: worse; hollow: too few rows to say."
    )
    if len(rows) > MOST_PLOTTED:
        caption += (
            f" The first {MOST_PLOTTED} of {count(len(rows))} slices are drawn, flagged ones "
            "first; the table has them all."
        )
    label = (
        f"Extra cost by slice: {counts['worse']} worse, {counts['holds']} hold, "
        f"{counts['insufficient data']} with insufficient data. The table has the figures."
    )
    return Section(
        key="slices",
        title="Slices",
        blocks=(
            Text(text=told),
            Drawing(name="slices", label=label, caption=caption),
            _table(evaluation),
        ),
    )


def _table(evaluation: Evaluation) -> Table:
    with_accuracy = any(row.accuracy is not None for row in evaluation.slices)
    names = ["n", "figure", *(["accuracy"] if with_accuracy else []), "extra", "bound", "q"]
    rows = []
    for row in in_order(evaluation.slices):
        name = Cell(text=slice_name(row), detail="critical" if row.critical else "")
        verdict = Cell(mark=VERDICTS[row.verdict], detail=_needed(row))
        cells = [name, verdict, Cell(text=count(row.n), number=True)]
        cells.append(figure_cell(row.figure))
        if with_accuracy:
            cells.append(figure_cell(row.accuracy))
        cells.append(figure_cell(row.diff, signed=True))
        cells.append(Cell(text="none" if row.bound is None else amount(row.bound), number=True))
        cells.append(Cell(text=_chance(row.q), number=True))
        rows.append(tuple(cells))
    heads = columns("slice", "verdict", *names, numbers=names)
    return Table(columns=heads, rows=tuple(rows), caption=f"Figures in {evaluation.unit}.")


def _needed(row: SliceRow) -> str:
    return f"{count(row.needed)} rows would settle it" if row.needed else ""


def _chance(q: float | None) -> str:
    if q is None:
        return "none"
    return "< 0.001" if q < 0.001 else f"{q:.3f}"
