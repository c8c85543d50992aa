"""What a model's probabilities are worth in a report: calibration, curves, sets, confusion."""

from lab.evaluation import Conformal, Confusion, Curve, Reliability
from lab.report.amounts import amount, count, figure_cell, percent
from lab.report.blocks import Block, Cell, Column, Drawing, Mark, Section, Table, Text, columns

WITHIN = Mark(symbol="✓", word="within what chance does", tone="good")
BEYOND = Mark(symbol="✗", word="beyond what chance does", tone="bad")
CURVES = {"roc": "ROC", "precision_recall": "precision-recall"}
AREAS = {"roc": "AUC", "precision_recall": "average precision"}


def calibration_section(own: Reliability) -> Section:
    n = sum(part.n for part in own.bins)
    calibrated = own.ece.mean <= own.ece_null_p95
    rows = (
        (
            Cell(text="expected calibration error", mark=WITHIN if calibrated else BEYOND),
            figure_cell(own.ece),
        ),
        (
            Cell(text="the same of a calibrated model", detail="in samples of this size"),
            Cell(
                text=f"{amount(own.ece_null_mean)} on average",
                detail=f"below {amount(own.ece_null_p95)} in 95 %",
                number=True,
            ),
        ),
        (Cell(text="Brier score"), figure_cell(own.brier)),
        (Cell(text="log loss"), figure_cell(own.log_loss)),
        (Cell(text="calibrator, by held-out log loss"), Cell(text=own.method, number=True)),
    )
    outside = [part for part in own.bins if not part.null_low <= part.observed <= part.null_high]
    told = f"{len(outside)} of {len(own.bins)} bins lie outside the null band"
    return Section(
        key="calibration",
        title="Calibration",
        blocks=(
            Table(
                columns=columns("figure", "value", numbers=("value",)),
                rows=rows,
                caption=f"Of {own.step}, over n = {count(n)} rows.",
            ),
            Drawing(
                name="reliability",
                label=f"Reliability diagram: {told}. The table below has the bins.",
                caption=(
                    f"Predicted against observed; {told}. The grey band holds 95 % of what a "
                    "perfectly calibrated model shows with as many rows. Below: rows by bin."
                ),
            ),
            _bins(own),
        ),
    )


def _bins(own: Reliability) -> Table:
    names = ("predicted", "observed", "n", "null band")
    rows = tuple(
        (
            Cell(text=amount(part.confidence), number=True),
            Cell(text=amount(part.observed), number=True),
            Cell(text=count(part.n), number=True),
            Cell(text=f"{amount(part.null_low)} to {amount(part.null_high)}", number=True),
        )
        for part in own.bins
    )
    return Table(columns=columns(*names, numbers=names), rows=rows, caption="The bins", folded=True)


def curves_section(curves: tuple[Curve, ...]) -> Section:
    drawings = tuple(
        Drawing(
            name=curve.name,
            label=f"{CURVES[curve.name]} curve of {curve.step}; the area is in the table below.",
            caption=f"{CURVES[curve.name]} of {curve.step}, n = {count(curve.area.n)}.",
        )
        for curve in curves
    )
    rows = tuple(
        (
            Cell(text=AREAS[curve.name], detail=curve.step),
            figure_cell(curve.area),
            Cell(text="0.5" if curve.baseline is None else amount(curve.baseline), number=True),
        )
        for curve in curves
    )
    names = ("area", "knowing nothing")
    table = Table(columns=columns("curve", *names, numbers=names), rows=rows)
    return Section(key="curves", title="ROC and precision-recall", blocks=(*drawings, table))


def confusion_section(own: Confusion) -> Section:
    total = sum(sum(row) for row in own.counts)
    heads = (
        Column(name="truth"),
        *(Column(name=name, number=True) for name in own.outcomes),
        Column(name="all", number=True),
    )
    rows = tuple(
        _confusion_row(truth, counts) for truth, counts in zip(own.truths, own.counts, strict=True)
    )
    told = (
        f"Rows by truth (down) and by what was done (across), n = {count(total)}. The share is "
        "that of the row, and a stronger colour is more."
    )
    return Section(
        key="confusion",
        title="Confusion",
        blocks=(Table(columns=heads, rows=rows, caption=told),),
    )


def _confusion_row(truth: str, counts: tuple[int, ...]) -> tuple[Cell, ...]:
    total = sum(counts)
    cells = (
        Cell(
            text=count(own),
            detail=percent(own / total) if own else "",
            number=True,
            shade=own / total if total else 0.0,
        )
        for own in counts
    )
    return Cell(text=truth), *cells, Cell(text=count(total), number=True)


def conformal_section(own: Conformal) -> Section:
    asked = percent(1 - own.alpha)
    short = own.covered.ci_high < 1 - own.alpha
    mark = Mark(symbol="✗", word="less than promised", tone="bad") if short else None
    rows = (
        (
            Cell(text="the set held the truth", detail=f"{asked} is promised", mark=mark),
            figure_cell(own.covered, share=True),
        ),
        (Cell(text="answered, with a set of one label"), figure_cell(own.answered, share=True)),
        (Cell(text="right, among those answered"), figure_cell(own.right, share=True)),
    )
    blocks: list[Block] = [Table(columns=columns("figure", "share", numbers=("share",)), rows=rows)]
    if short:
        blocks.append(
            Text(
                text="The promise is for rows like the validation rows, and the test rows are not "
                "like them."
            )
        )
    return Section(key="conformal", title="Conformal abstention", blocks=tuple(blocks))
