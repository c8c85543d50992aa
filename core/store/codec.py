"""Contracts as JSON and back: what was written is read as an equal object of the same type."""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from numbers import Real
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_text(value: Any) -> str:
    """Raises ValueError for NaN and infinities, which JSON does not have."""
    return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=False)


def from_text(text: str) -> Any:
    return json.loads(text)


def rebuild(kind: type[T], data: Any) -> T:
    """A dataclass of contracts from what `to_text` made of it."""
    return cast(T, _rebuilt(kind, data))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Real):  # a numpy float32 that a model let through
        return float(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _rebuilt(kind: Any, data: Any) -> Any:
    """`kind` is a hint as contracts use them; what is no container or dataclass stays as it is."""
    if data is None:
        return None
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        # A field that a newer version added keeps its default; one it removed is left out.
        return kind(**{name: _rebuilt(hints[name], data[name]) for name in hints if name in data})
    if kind is datetime:
        return datetime.fromisoformat(data)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple:
        return tuple(_rebuilt(parts[0], part) for part in data)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _rebuilt(parts[1], part) for name, part in data.items()}
    if origin in (Union, types.UnionType):
        present = [part for part in parts if part is not type(None)]
        return _rebuilt(present[0], data) if len(present) == 1 else data
    return data
