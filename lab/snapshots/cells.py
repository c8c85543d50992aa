"""What every conversion of a column needs: to name the first cell that does not fit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.errors import InvalidDocument, InvalidFacts
from lab.snapshots.plan import PlannedColumn

Refuse = Callable[[int, str, str, str], InvalidDocument]  # row, code, message, way out


def wrong(
    column: PlannedColumn, array: Any, bad: npt.NDArray[np.bool_], wanted: str, refuse: Refuse
) -> InvalidDocument:
    row = int(np.flatnonzero(bad)[0])
    value = str(array[row].as_py())[:40].encode("ascii", "backslashreplace").decode()
    message = f"the field '{column.name}' cannot be '{value}'"
    return refuse(row, "RUNG-FACTS-VALUE", message, f"Write {wanted}.")


def is_text(array: Any) -> bool:
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def plain(array: Any) -> Any:
    return array.cast(pa.string())


def known(array: Any) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = pc.is_valid(array).to_numpy(zero_copy_only=False)
    return valid


def each(
    column: PlannedColumn, array: Any, made: Callable[[str], Any], target: Any, refuse: Refuse
) -> Any:
    """`made` of each different text, which may raise InvalidFacts; null stays null."""
    encoded = plain(array).dictionary_encode()
    values = []
    for place, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(made(text))
        except InvalidFacts as error:
            row = int(pc.index(encoded.indices, pa.scalar(place, pa.int32())).as_py())
            raise refuse(row, error.code, error.message, error.way_out) from error
    return pa.array(values, target).take(encoded.indices)
