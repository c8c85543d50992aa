"""Numbers as people read them: four digits at most that count, with their interval and n."""

import math

from lab.evaluation import Figure
from lab.report.blocks import Cell

DIGITS = 4  # that count; more is noise at any n that a test set has
DIGITS_BELOW_ONE = 3
MINUS = "\N{MINUS SIGN}"
SHARES = frozenset({"answered", "right"})
NAMES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "map": "MAP",
}
SHORT_WORDS = ("ndcg", "mrr")


def metric_name(metric: str) -> str:
    if metric.partition("@")[0] in SHORT_WORDS:
        return metric.upper()
    return NAMES.get(metric, metric.replace("_", " "))


def count(number: int) -> str:
    return f"{number:,}"


def amount(value: float, *, signed: bool = False) -> str:
    """Without an interval; a whole number stands as one."""
    told = _written(value, _decimals(value), signed=signed)
    return told.rstrip("0").rstrip(".") if "." in told else told


def percent(share: float) -> str:
    """With one decimal, and more only where that would say a false 0 or 100 %."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    return f"{share * 100:.1f} %".replace("-", MINUS)


def figure_text(figure: Figure, *, share: bool = False, signed: bool = False) -> str:
    """On one line: `2.767 (2.729 to 2.805), n = 8,238`."""
    mean, interval, rows = _parts(figure, share, signed)
    return f"{mean} ({interval}), {rows}"


def figure_cell(
    figure: Figure | None, *, share: bool = False, signed: bool = False, absent: str = "none"
) -> Cell:
    if figure is None:
        return Cell(text=absent, number=True)
    mean, interval, rows = _parts(figure, share, signed)
    return Cell(text=mean, detail=interval, rows=rows, number=True)


def rows_text(n: int, clusters: int | None) -> str:
    told = f"n = {count(n)}"
    # One cluster a row says only that no entity was declared.
    return told if clusters in (None, n) else f"{told} in {count(clusters or 0)} clusters"


def _parts(figure: Figure, share: bool, signed: bool) -> tuple[str, str, str]:
    values = (figure.mean, figure.ci_low, figure.ci_high)
    rows = rows_text(figure.n, figure.clusters)
    if share:
        mean, low, high = (percent(value) for value in values)
        return mean, f"{low} to {high}", rows
    decimals = _decimals_of(values)
    low, high = (_written(value, decimals) for value in values[1:])
    return _written(figure.mean, decimals, signed=signed), f"{low} to {high}", rows


def _decimals_of(values: tuple[float, float, float]) -> int:
    """The same for all three, and enough to tell a narrow interval's ends apart."""
    decimals = _decimals(max(abs(value) for value in values))
    half = (values[2] - values[1]) / 2
    if not half > 0:
        return decimals
    return min(decimals + 2, max(decimals, -math.floor(math.log10(half))))


def _decimals(value: float) -> int:
    size = abs(value)
    if not size:
        return 0
    return max(0, (DIGITS if size >= 1 else DIGITS_BELOW_ONE) - 1 - math.floor(math.log10(size)))


def _written(value: float, decimals: int, *, signed: bool = False) -> str:
    told = f"{abs(value):,.{decimals}f}"
    if not any(digit in told for digit in "123456789"):
        return told
    if value < 0:
        return MINUS + told
    return f"+{told}" if signed else told
