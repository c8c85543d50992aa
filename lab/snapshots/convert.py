"""Cells of a table become what decision.yaml declares, column by column, or are refused.

What comes out is what `RequestSchema.validate_facts` and `core.intake.admit` would make of the same
rows one by one; a property test holds the two together.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidFacts
from core.identity.redaction import redact
from core.spec import FieldSpec
from core.spec.request import admit_value
from lab.snapshots.cells import Refuse, each, is_text, known, plain, wrong
from lab.snapshots.convert_numbers import booleans, integers, numbers
from lab.snapshots.plan import ARROW_TYPES, PlannedColumn

# What Arrow reads as Python does; other forms of ISO 8601 are read one by one.
_ISO = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}"
_ISO_WITH_ZONE = _ISO + r"(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_ISO_FORMATS = {"%Y-%m-%d %H:%M:%S": " ", "%Y-%m-%dT%H:%M:%S": "T"}


def converted(
    column: PlannedColumn, values: Any, rows: int, refuse: Refuse, markers: Collection[str] = ()
) -> Any:
    """An Arrow array of the column's type. `values` None: the table has no such column.

    `markers` are texts that mean nothing, except where the column's own category declares them.
    """
    if column.role == "documents":
        return _documents(column, values, rows, refuse)
    field = column.field
    assert field is not None
    if values is None:
        array = pa.nulls(rows, ARROW_TYPES[column.type])
    elif isinstance(values, list):
        return _of_objects(column, field, values, refuse)
    else:
        array = _typed(column, field, _without_markers(field, values, markers), refuse)
    _refuse_nulls(column, field, array, refuse)
    _refuse_bounds(column, field, array, refuse)
    return array


def _without_markers(field: FieldSpec, values: Any, markers: Collection[str]) -> Any:
    own = [marker for marker in markers if marker not in field.values]
    if not own:
        return values
    texts = values.cast(pa.string())
    return pc.if_else(pc.is_in(texts, pa.array(own)), pa.scalar(None, pa.string()), texts)


def _of_objects(column: PlannedColumn, field: FieldSpec, values: list[Any], refuse: Refuse) -> Any:
    """JSON values, held to what a request's are."""
    admitted: list[Any] = []
    for row, value in enumerate(values):
        if field.format and isinstance(value, str):
            value = _by_format(value, field.format)
        try:
            one = admit_value(column.name, field, value)
        except InvalidFacts as error:
            raise refuse(row, error.code, error.message, error.way_out) from error
        if isinstance(one, str) and field.type == "time":
            admitted.append(datetime.fromisoformat(one).astimezone(UTC))
        else:
            admitted.append(redact(one).text if column.redacted and isinstance(one, str) else one)
    return pa.array(admitted, ARROW_TYPES[column.type])


def _by_format(text: str, written: str) -> str:
    """In ISO 8601; a text that does not fit stays, and is refused as no time."""
    try:
        return datetime.strptime(text, written).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return text


def _typed(column: PlannedColumn, field: FieldSpec, values: Any, refuse: Refuse) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), ARROW_TYPES[column.type])
    convert = {
        "number": numbers,
        "integer": integers,
        "boolean": booleans,
        "category": _categories,
        "text": _texts,
        "time": _times,
    }[column.type]
    return convert(column, field, array, refuse)


def _categories(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    if not is_text(array):
        array = array.cast(pa.string())
    texts = plain(array)
    strange = known(texts) & ~pc.is_in(texts, pa.array(field.values)).to_numpy(zero_copy_only=False)
    if not strange.any():
        return texts
    if field.unseen == "refuse":
        wanted = f"one of: {', '.join(field.values[:20])}"
        raise wrong(column, texts, strange, wanted, refuse)
    return pc.if_else(pa.array(strange), pa.scalar(None, pa.string()), texts)


def _texts(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    """Each different text once, by the code that serving runs."""

    def admitted(text: str) -> str:
        value = str(admit_value(column.name, field, text))
        return redact(value).text if column.redacted else value

    return each(column, array, admitted, pa.string(), refuse)


def _times(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> Any:
    target = ARROW_TYPES["time"]
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        zone = array.type.tz if pa.types.is_timestamp(array.type) else None
        if zone is None and not field.format:
            raise wrong(column, array, known(array), "times with a time zone", refuse)
        moments = array.cast(pa.timestamp("us", zone), safe=False)
        return (moments if zone else pc.assume_timezone(moments, "UTC")).cast(target)
    if not is_text(array):
        raise wrong(column, array, known(array), "times", refuse)
    return _quick_times(plain(array), field.format) or each(
        column, array, lambda text: _moment(column.name, field, text), target, refuse
    )


def _quick_times(texts: Any, written: str) -> Any:
    """None where a text is none of the forms that Arrow and Python read alike."""
    pattern = _ISO.replace("[T ]", _ISO_FORMATS[written]) + "$" if written in _ISO_FORMATS else ""
    pattern = pattern if written else _ISO_WITH_ZONE
    if not pattern or not pc.all(pc.match_substring_regex(texts, pattern)).as_py():
        return None
    try:
        zone = None if written else "UTC"
        moments = texts.cast(pa.timestamp("us", zone))
        return pc.assume_timezone(moments, "UTC") if written else moments
    except pa.ArrowInvalid:
        return None


def _moment(name: str, field: FieldSpec, text: str) -> datetime:
    value = admit_value(name, field, _by_format(text, field.format) if field.format else text)
    return datetime.fromisoformat(str(value)).astimezone(UTC)


def _refuse_nulls(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> None:
    if field.missing == "refuse" and array.null_count:
        row = int(np.flatnonzero(~known(array))[0])
        raise refuse(
            row,
            "RUNG-FACTS-NULL",
            f"the field '{column.name}' is missing",
            "Fill it in, or declare missing: unknown in decision.yaml.",
        )


def _refuse_bounds(column: PlannedColumn, field: FieldSpec, array: Any, refuse: Refuse) -> None:
    for bound, beyond, told in ((field.min, pc.less, "from"), (field.max, pc.greater, "up to")):
        if bound is None:
            continue
        bad = pc.fill_null(beyond(array, bound), False).to_numpy(zero_copy_only=False)
        if bad.any():
            raise wrong(column, array, bad, f"a {column.type} {told} {bound:g}", refuse)


def _documents(column: PlannedColumn, values: Any, rows: int, refuse: Refuse) -> Any:
    """Lists of ids; in CSV they stand in one cell with spaces between."""
    if values is None:
        return pa.array([[]] * rows, ARROW_TYPES["documents"])
    listed = values if isinstance(values, list) else values.to_pylist()
    found: list[list[str]] = []
    for row, value in enumerate(listed):
        value = value.split() if isinstance(value, str) and not isinstance(values, list) else value
        if not isinstance(value or [], list) or not all(isinstance(d, str) for d in value or []):
            raise refuse(
                row,
                "RUNG-TABLE-CONTENT",
                f"column '{column.name}' must be a list of document ids",
                "See docs/reference/decision.md for the columns of training rows.",
            )
        found.append(list(value or []))
    return pa.array(found, ARROW_TYPES["documents"])
