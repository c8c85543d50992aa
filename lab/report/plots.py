"""The plots of a report, by name; verdicts are told by shape as well as by colour."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lab.evaluation import Curve, Evaluation, Figure, Reliability
from lab.report.amounts import amount, metric_name
from lab.report.ladder import main_uplifts
from lab.report.slices import plotted, slice_name
from lab.report.svg import drawn

# Okabe and Ito (2008): told apart with every kind of colour blindness.
BLUE, VERMILLION, GREY, BAND = "#0072B2", "#D55E00", "#7a808a", "#d5d9de"
WIDTH = 6.2  # inches; beside the page's 10 pt it stays readable on a telephone
LONGEST = 34  # characters of a label, beyond which it would take the plot's room


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a forest plot. Without `figure` only `absent` is written."""

    label: str
    figure: Figure | None
    colour: str = BLUE
    shape: str = "o"
    least: float | None = None  # drawn as a mark
    absent: str = ""


def plot(name: str, label: str, evaluation: Evaluation) -> str:
    """The SVG of a `Drawing` by its name; raises KeyError for one that there is not."""
    return drawn(name, label, lambda: _PLOTS[name](evaluation))


def _uplifts(evaluation: Evaluation) -> Canvas:
    lines = []
    for one in main_uplifts(evaluation):
        beats = one.diff.ci_low > 0 and one.diff.ci_low >= one.needed
        lines.append(
            Line(
                label=f"{one.step} over {one.over}",
                figure=one.diff,
                colour=BLUE if beats else VERMILLION,
                shape="o" if beats else "s",
                least=one.needed,
            )
        )
    return _forest(lines, f"uplift in {_unit(evaluation)}; right is better", zero=True)


def _splits(evaluation: Evaluation) -> Canvas:
    own = evaluation.split_comparison
    assert own is not None
    lines = [
        Line(
            label=f"{name} split",
            figure=figure,
            colour=BLUE if own.believe == name else GREY,
            shape="o" if own.believe == name else "s",
        )
        for name, figure in (("random", own.random), ("temporal", own.temporal))
    ]
    return _forest(lines, metric_name(own.metric), zero=False)


def _slices(evaluation: Evaluation) -> Canvas:
    styles = {
        "worse": (VERMILLION, "s"),
        "holds": (BLUE, "o"),
        "insufficient data": (GREY, "D"),
    }
    lines = []
    for row in plotted(evaluation.slices):
        colour, shape = styles[row.verdict]
        lines.append(
            Line(
                label=slice_name(row),
                figure=row.diff,
                colour=colour,
                shape=shape,
                least=row.bound,
                absent=row.verdict,
            )
        )
    return _forest(lines, f"extra cost ({evaluation.unit}); right is worse", zero=True)


def _forest(lines: Sequence[Line], axis: str, *, zero: bool) -> Canvas:
    """From top to bottom as given. Hollow marks are what is not known well enough."""
    canvas, axes = _canvas(0.9 + 0.27 * len(lines))
    if zero:
        axes.axvline(0, color=GREY, linewidth=1)
    for place, line in enumerate(lines):
        if line.figure is not None:
            _interval(axes, place, line, line.figure)
        else:
            axes.annotate(
                line.absent,
                (0.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                color=GREY,
                fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # over the line of 0
            )
        if line.least is not None:
            axes.plot([line.least], [place], "|", color="#1c2128", ms=11, mew=1.6)
    axes.set_yticks(range(len(lines)), [_shortened(line.label) for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(axis)
    axes.xaxis.set_major_locator(MaxNLocator(6))  # more labels than that touch
    _thousands(axes, x=True)
    return canvas


def _interval(axes: Axes, place: int, line: Line, figure: Figure) -> None:
    axes.plot([figure.ci_low, figure.ci_high], [place, place], color=line.colour, linewidth=1.6)
    hollow = line.shape == "D"
    axes.plot(
        [figure.mean],
        [place],
        line.shape,
        color=line.colour,
        markerfacecolor="white" if hollow else line.colour,
        markersize=5.5,
    )


def _reliability(evaluation: Evaluation) -> Canvas:
    own = evaluation.reliability
    assert own is not None
    canvas = Canvas(figsize=(WIDTH, 5.2), layout="constrained")
    upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _reliability_bins(upper, own)
    lower.bar(
        [part.confidence for part in own.bins],
        [part.n for part in own.bins],
        width=upper.get_xlim()[1] / 60,
        color=GREY,
    )
    lower.set_xlabel("predicted probability")
    lower.set_ylabel("rows")
    _thousands(lower, y=True)
    return canvas


def _reliability_bins(axes: Axes, own: Reliability) -> None:
    bins = sorted(own.bins, key=lambda part: part.confidence)
    x, observed = [part.confidence for part in bins], [part.observed for part in bins]
    low, high = [part.null_low for part in bins], [part.null_high for part in bins]
    # Where all is rare, the whole square would be an empty one.
    most = min(1.0, 1.15 * max([*x, *observed, *high], default=1.0))
    axes.plot([0, most], [0, most], "--", color=GREY, linewidth=1, label="perfect")
    axes.fill_between(x, low, high, color=BAND, linewidth=0, zorder=1)
    axes.vlines(x, low, high, color=BAND, linewidth=5, label="null band, 95 %", zorder=1)
    axes.plot(
        x, observed, "o-", color=BLUE, markersize=5, label="observed", clip_on=False, zorder=3
    )
    axes.set_xlim(0, most)
    axes.set_ylim(0, most * 1.02)
    axes.set_ylabel("observed share")
    _legend_above(axes)


def _cost(evaluation: Evaluation) -> Canvas:
    own = evaluation.cost_curve
    assert own is not None
    canvas, axes = _canvas(3.6)
    x, y = zip(*own.points, strict=True)
    axes.plot(x, y, color=BLUE, linewidth=1.8, label="taken for positive from the threshold")
    axes.axhspan(own.policy.ci_low, own.policy.ci_high, color=VERMILLION, alpha=0.15, linewidth=0)
    axes.axhline(
        own.policy.mean, color=VERMILLION, linestyle="--", linewidth=1.4, label="the policy"
    )
    axes.errorbar(
        [own.chosen],
        [own.at_chosen.mean],
        yerr=[
            [own.at_chosen.mean - own.at_chosen.ci_low],
            [own.at_chosen.ci_high - own.at_chosen.mean],
        ],
        fmt="D",
        color="#1c2128",
        markersize=6,
        capsize=3,
        label=f"chosen threshold, {amount(own.chosen)}",
    )
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, max(*y, own.policy.ci_high) * 1.08 or 1)
    axes.set_xlabel("threshold on the probability")
    axes.set_ylabel(f"cost, {evaluation.unit}")
    _thousands(axes, y=True)
    _legend_above(axes)
    return canvas


def _roc(evaluation: Evaluation) -> Canvas:
    curve = _curve(evaluation, "roc")
    canvas, axes = _square(curve)
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="knowing nothing")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    _legend_above(axes)
    return canvas


def _precision_recall(evaluation: Evaluation) -> Canvas:
    curve = _curve(evaluation, "precision_recall")
    canvas, axes = _square(curve)
    if curve.baseline is not None:
        axes.axhline(
            curve.baseline, color=GREY, linestyle="--", linewidth=1, label="knowing nothing"
        )
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    _legend_above(axes)
    return canvas


def _curve(evaluation: Evaluation, name: str) -> Curve:
    return next(curve for curve in evaluation.curves if curve.name == name)


def _square(curve: Curve) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(4.6, 4.2), layout="constrained")
    axes = canvas.subplots()
    x, y = zip(*curve.points, strict=True)
    area = curve.area
    told = f"{curve.step}: {area.mean:.3f} ({area.ci_low:.3f} to {area.ci_high:.3f})"
    axes.plot(x, y, color=BLUE, linewidth=1.8, label=told)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    return canvas, axes


def _canvas(height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    return canvas, canvas.subplots()


def _legend_above(axes: Axes) -> None:
    """A curve may run anywhere within the axes."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _thousands(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    for wanted, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if wanted:
            axis.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _: int | None) -> str:
    told = f"{value:,.6g}" if abs(value) >= 1e-4 or not value else f"{value:.2g}"
    return told.replace("-", "\N{MINUS SIGN}")


def _shortened(label: str) -> str:
    plain = " ".join(label.split())
    if len(plain) <= LONGEST:
        return plain
    # Values of one slice differ at their ends more often than at their start.
    return f"{plain[: LONGEST // 2]}…{plain[-(LONGEST // 2 - 1) :]}"


def _unit(evaluation: Evaluation) -> str:
    return f"{metric_name(evaluation.metric)} ({evaluation.unit})"


_PLOTS: dict[str, Callable[[Evaluation], Canvas]] = {
    "uplifts": _uplifts,
    "splits": _splits,
    "slices": _slices,
    "reliability": _reliability,
    "cost": _cost,
    "roc": _roc,
    "precision_recall": _precision_recall,
}
