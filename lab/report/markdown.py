"""The Markdown of a report: the same as the page, with a table wherever that has a plot."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.evaluation import Evaluation
from lab.report.blocks import Block, Bullets, Cell, Content, Table, Text
from lab.report.content import content_of

_MARKUP = re.compile(r"[\\|<>*`~]")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def render_markdown(evaluation: Evaluation, *, checks: Sequence[Mapping[str, Any]] = ()) -> str:
    """`checks` as `CheckResult.to_json` gives them."""
    return "\n".join(_lines(content_of(evaluation, checks)))


def escaped(text: str) -> str:
    """On one line, and as it stands: no value of a table becomes markup, a link or a new cell."""
    plain = _ENTITY.sub("&amp;", " ".join(text.split()))
    return _MARKUP.sub(_one, plain).replace("](", "]\\(")


def _one(found: re.Match[str]) -> str:
    entities = {"<": "&lt;", ">": "&gt;"}
    return entities.get(found[0], f"\\{found[0]}")


def _lines(content: Content) -> Iterator[str]:
    yield f"# {escaped(content.title)}"
    yield ""
    yield f"**{escaped(content.verdict)}** ({escaped(content.mark.text)})"
    yield ""
    yield escaped(content.why)
    for warning in content.warnings:
        yield ""
        yield f"> **{escaped(warning)}**"
    yield ""
    for fact in content.facts:
        detail = f" ({escaped(fact.detail)})" if fact.detail else ""
        yield f"- {escaped(fact.name)}: {escaped(fact.value)}{detail}"
    for section in content.sections:
        yield ""
        yield f"## {escaped(section.title)}"
        for block in section.blocks:
            yield from _block(block)
    yield ""


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Text):
        yield ""
        yield f"**{escaped(block.text)}**" if block.strong else escaped(block.text)
    elif isinstance(block, Bullets):
        yield ""
        yield from (f"- {escaped(item)}" for item in block.items)
    elif isinstance(block, Table):
        yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    if table.caption:
        yield ""
        yield escaped(table.caption)
    yield ""
    yield _row(escaped(column.name) for column in table.columns)
    yield _row("---:" if column.number else "---" for column in table.columns)
    for cells in table.rows:
        yield _row(text for cell in cells for text in _cell(cell))


def _cell(cell: Cell) -> Iterator[str]:
    """A cell that spans others leaves them empty: Markdown knows no spans."""
    small = ", ".join(part for part in (cell.detail, cell.rows) if part)
    told = f"{cell.text} ({small})" if small else cell.text
    mark = cell.mark.text if cell.mark else ""
    yield escaped(" · ".join(part for part in (told, mark) if part))
    yield from [""] * (cell.span - 1)


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
