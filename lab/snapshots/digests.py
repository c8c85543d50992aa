"""The digest of a column's content, whatever the chunks, the library and the file format."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class ColumnDigest:
    """Three hashes side by side, as a chunk's end must leave no mark: which rows are known, how
    long each text is, and the values. What is unknown counts as zero."""

    def __init__(self) -> None:
        self._known, self._lengths, self._values = (hashlib.sha256() for _ in range(3))

    def add(self, array: Any) -> None:
        known = pc.is_valid(array).to_numpy(zero_copy_only=False)
        self._known.update(known.astype(np.uint8).tobytes())
        kind = array.type
        if pa.types.is_list(kind):
            self._lengths.update(_lengths(pc.list_value_length(array)))
            flat = array.flatten()
            self._lengths.update(_lengths(pc.binary_length(flat)))
            self._values.update(_bytes(flat))
        elif pa.types.is_string(kind):
            self._lengths.update(_lengths(pc.binary_length(array)))
            self._values.update(_bytes(array))
        elif pa.types.is_floating(kind):
            values = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False)
            self._values.update(values.astype("<f8").tobytes())
        else:
            whole = array.cast(pa.int64()) if not pa.types.is_boolean(kind) else array
            values = pc.fill_null(whole, False if pa.types.is_boolean(kind) else 0)
            self._values.update(values.to_numpy(zero_copy_only=False).astype("<i8").tobytes())

    def hexdigest(self) -> str:
        whole = hashlib.sha256()
        for part in (self._known, self._lengths, self._values):
            whole.update(part.digest())
        return whole.hexdigest()


def _lengths(lengths: Any) -> bytes:
    values = pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    return bytes(values.astype("<i8").tobytes())


def _bytes(texts: Any) -> bytes:
    """The texts one after another, in UTF-8."""
    joined = pc.fill_null(texts, "").cast(pa.large_binary())
    if not len(joined):
        return b""
    offsets = np.frombuffer(joined.buffers()[1], dtype=np.int64)[
        joined.offset : joined.offset + len(joined) + 1
    ]
    data = joined.buffers()[2]
    if data is None:
        return b""
    return bytes(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
