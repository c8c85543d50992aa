"""The page of a report: one file that asks nothing of a network and runs no script."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lab.evaluation import Evaluation
from lab.report.blocks import Block, Drawing, Section
from lab.report.content import content_of
from lab.report.page import CSS, TEMPLATE
from lab.report.plots import plot


def render_html(
    evaluation: Evaluation,
    *,
    checks: Sequence[Mapping[str, Any]] = (),
) -> str:
    """`checks` as `CheckResult.to_json` gives them. The same bytes for the same arguments."""

    def draw(block: Drawing) -> Markup:
        return Markup(plot(block.name, block.label, evaluation))

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["runs"] = _runs
    template = environment.from_string(TEMPLATE)
    return template.render(content=content_of(evaluation, checks), css=Markup(CSS), plot=draw)


def _runs(section: Section) -> Iterator[tuple[str, list[Block]]]:
    """Neighbouring plots stand side by side where there is room."""
    for kind, blocks in groupby(section.blocks, key=lambda block: type(block).__name__):
        yield kind, list(blocks)
