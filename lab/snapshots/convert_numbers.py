"""Cells as numbers, whole numbers and truth values."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.spec import FieldSpec
from lab.snapshots.cells import Refuse, is_text, known, plain, wrong
from lab.snapshots.plan import PlannedColumn

TRUE, FALSE = ("true", "True", "TRUE", "1"), ("false", "False", "FALSE", "0")
LARGEST_INTEGER = 2**53  # beyond it a double is not exact
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,4000}\s*")  # Python reads no more digits than 4300


def numbers(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    if pa.types.is_boolean(array.type):
        raise wrong(column, array, known(array), "numbers", refuse)
    written = array
    if is_text(array):
        array = _parsed(column, plain(array), refuse)
    elif not (_is_whole(array) or _is_fraction(array)):
        raise wrong(column, array, known(array), "numbers", refuse)
    doubles = array.cast(pa.float64(), safe=False)
    _refuse_inexact(column, written, doubles, refuse)
    if not _is_whole(array):
        doubles = pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)
    infinite = ~np.isfinite(pc.fill_null(doubles, 0.0).to_numpy(zero_copy_only=False))
    if infinite.any():
        raise wrong(column, array, infinite, "a finite number", refuse)
    return doubles


def _is_whole(array: Any) -> bool:
    return bool(pa.types.is_integer(array.type))


def _is_fraction(array: Any) -> bool:
    return bool(pa.types.is_floating(array.type) or pa.types.is_decimal(array.type))


def _refuse_inexact(column: PlannedColumn, written: Any, doubles: Any, refuse: Refuse) -> None:
    """A whole number that a double would change is refused, as it is in a request."""
    large = pc.fill_null(pc.greater_equal(pc.abs(doubles), LARGEST_INTEGER), False)
    bad = large.to_numpy(zero_copy_only=False).copy()
    for row in np.flatnonzero(bad):
        value = written[int(row)].as_py()
        whole = isinstance(value, int) or (isinstance(value, str) and _WHOLE.fullmatch(value))
        bad[row] = bool(whole) and abs(int(value)) > LARGEST_INTEGER
    if bad.any():
        raise wrong(column, written, bad, "a number that a double holds exactly", refuse)


def _parsed(column: PlannedColumn, texts: Any, refuse: Refuse) -> Any:
    """Doubles of texts; the bulk by Arrow, and only where that fails each by itself."""
    trimmed = pc.utf8_trim_whitespace(texts)
    try:
        return trimmed.cast(pa.float64())
    except pa.ArrowInvalid:
        each = trimmed.to_pylist()
        bad = np.array([value is not None and not _is_number(value) for value in each])
        if not bad.any():
            return pa.array([None if value is None else float(value) for value in each])
        raise wrong(column, texts, bad, "a number such as 12.5", refuse) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def integers(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    """Also of "5.0", which is what a table with a missing value makes of 5."""
    if is_text(array):
        texts = pc.utf8_trim_whitespace(plain(array))
        try:
            whole = texts.cast(pa.int64())
        except pa.ArrowInvalid:
            whole = None
        if whole is not None:
            return _within(column, whole, refuse)
    if _is_whole(array):
        return _within(column, array, refuse)
    doubles = numbers(column, field, array, refuse)
    values = pc.fill_null(doubles, 0.0).to_numpy(zero_copy_only=False)
    bad = (values != np.floor(values)) | (np.abs(values) > LARGEST_INTEGER)
    if bad.any():
        raise wrong(column, array, bad, "a whole number", refuse)
    return doubles.cast(pa.int64())


def _within(column: PlannedColumn, whole: Any, refuse: Refuse) -> Any:
    values = pc.fill_null(whole, 0).to_numpy(zero_copy_only=False)
    bad = (values > LARGEST_INTEGER) | (values < -LARGEST_INTEGER)
    if bad.any():
        raise wrong(column, whole, bad, "a number that a double holds exactly", refuse)
    return whole.cast(pa.int64())


def booleans(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    if pa.types.is_boolean(array.type):
        return array
    texts = plain(array) if is_text(array) else array.cast(pa.string())
    yes, no = (pc.is_in(texts, pa.array(words)) for words in (TRUE, FALSE))
    bad = known(texts) & ~pc.or_(yes, no).to_numpy(zero_copy_only=False)
    if bad.any():
        raise wrong(column, texts, bad, "true, false, 1 or 0", refuse)
    return pc.if_else(pc.is_null(texts), pa.scalar(None, pa.bool_()), yes)
