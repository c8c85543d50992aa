"""Labelled texts from a CSV file, refused whole where a row cannot be used."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.errors import InvalidDocument


@dataclass(frozen=True, kw_only=True)
class LabelledTexts:
    texts: list[str]
    labels: list[str]


def read_labelled_texts(path: Path, *, text: str, label: str) -> LabelledTexts:
    """Rows in an order of their own (by text, then label), so that the file's order is no input."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeError, ValueError) as error:  # pandas' parse errors are ValueErrors
        raise InvalidDocument(
            "RUNG-TABLE-READ",
            f"{path} cannot be read as CSV ({error.__class__.__name__})",
            way_out="Name an existing UTF-8 CSV file with a header.",
        ) from error
    missing = [name for name in (text, label) if name not in table.columns]
    if missing:
        raise InvalidDocument(
            "RUNG-TABLE-COLUMN",
            f"{path} has no column {', '.join(missing)}",
            way_out=f"Its columns are: {', '.join(map(str, table.columns))}.",
        )
    empty = (table[text].str.strip() == "") | (table[label].str.strip() == "")
    if empty.any():
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY",
            f"{path}: row {int(empty.to_numpy().argmax()) + 1} has an empty {text} or {label}",
            way_out="Fill it in or remove the row.",
        )
    if table.empty:
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY", f"{path} has no rows", way_out="Name a file with rows."
        )
    table = table.sort_values([text, label], kind="stable")
    return LabelledTexts(texts=table[text].tolist(), labels=table[label].tolist())
