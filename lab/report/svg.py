"""A matplotlib figure as SVG that stands in a page: the same bytes each time, ids of its own."""

import re
import warnings
from collections.abc import Callable
from html import escape
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Canvas

STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # the reader's machine may lack the font
    "font.family": "DejaVu Sans",  # the one that matplotlib brings along
    "font.size": 9.5,
    "text.parse_math": False,  # a dollar in a slice's value is a dollar
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8f98",
    "axes.labelcolor": "#333a44",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "text.color": "#1c2128",
    "xtick.color": "#333a44",
    "ytick.color": "#333a44",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}
_HEAD = re.compile(r"^.*?<svg ", re.S)
_ASIDE = re.compile(r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*", re.S)
_ID = re.compile(r'(\bid="|href="#|url\(#)')


def drawn(name: str, label: str, draw: Callable[[], Canvas]) -> str:
    """The `<svg>` element alone; `name` starts each of its ids, `label` says what is to be seen.

    A user's own matplotlibrc has no say. As matplotlib's settings belong to the process, two
    threads must not draw at once.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the table has the text in full
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": f"rung-{name}"})
        canvas, out = draw(), StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = _ID.sub(rf"\g<1>{name}-", _ASIDE.sub("", out.getvalue()))
    return _HEAD.sub(f'<svg role="img" aria-label="{escape(label)}" ', svg, count=1).strip()
