"""What a report is made of, before it is HTML or Markdown: sections of texts, tables and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "unknown", "plain"]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A verdict that no reader has to tell by its colour: a symbol and a word."""

    symbol: str
    word: str
    tone: Tone

    @property
    def text(self) -> str:
        return f"{self.symbol} {self.word}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """`detail` and `rows` (n) stand small below `text`; `shade` in [0, 1] is the cell's heat."""

    text: str = ""
    detail: str = ""
    rows: str = ""
    mark: Mark | None = None
    number: bool = False
    span: int = 1
    shade: float | None = None


@dataclass(frozen=True, kw_only=True)
class Column:
    name: str
    number: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """`folded` has a heading to click in HTML, for figures that a plot shows already."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Text:
    text: str
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A plot that `lab.report.plots` draws under `name`; Markdown has the table beside it."""

    name: str
    label: str  # what somebody is told who cannot see it
    caption: str


@dataclass(frozen=True, kw_only=True)
class Bullets:
    items: tuple[str, ...]


Block = Table | Text | Drawing | Bullets


@dataclass(frozen=True, kw_only=True)
class Section:
    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Fact:
    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Content:
    """`verdict` is the line that decides; `warnings` are what nobody may overlook."""

    title: str
    verdict: str
    mark: Mark
    why: str
    warnings: tuple[str, ...]
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]


def texts(*values: str) -> tuple[Cell, ...]:
    return tuple(Cell(text=value) for value in values)


def columns(*names: str, numbers: Sequence[str] = ()) -> tuple[Column, ...]:
    return tuple(Column(name=name, number=name in numbers) for name in names)
