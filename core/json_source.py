"""Reads JSON from outside strictly: no NaN, no key twice, no deep nesting, no lone surrogate."""

import json
import math
from collections.abc import Iterator
from typing import Any

from core.contracts import Json
from core.errors import InvalidDocument

MAX_DEPTH = 32  # the parser recurses, and no request of ours is nested deeper


def parse_json(text: str | bytes, *, line: int | None = None) -> Json:
    """Raises InvalidDocument."""
    try:
        value: Json = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_refuse_twice,
        )
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate has no UTF-8
    except json.JSONDecodeError as error:
        raise _refused(f"not well-formed JSON ({error.msg}, column {error.colno})", line) from error
    except RecursionError as error:
        raise _refused(f"nested deeper than {MAX_DEPTH}", line) from error
    except UnicodeError as error:
        raise _refused("not UTF-8, or with a lone surrogate", line) from error
    except ValueError as error:
        raise _refused(f"not well-formed JSON ({str(error)[:80]})", line) from error
    if _depth_exceeds(value, MAX_DEPTH):
        raise _refused(f"nested deeper than {MAX_DEPTH}", line)
    return value


def parse_json_lines(text: str) -> Iterator[tuple[int, Json]]:
    """Each line that is not blank, with its number from 1."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json(line, line=number)


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is beyond a double")
    return value


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key stands twice")
    return content


def _depth_exceeds(value: Json, most: int) -> bool:
    level: list[Json] = [value]
    for _ in range(most):
        level = [
            part
            for v in level
            if isinstance(v, dict | list)
            for part in (v.values() if isinstance(v, dict) else v)
        ]
        if not level:
            return False
    return True


def _refused(why: str, line: int | None) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-JSON-SYNTAX",
        why,
        way_out="Write one JSON object in UTF-8, with finite numbers and each key once.",
        line=line,
    )
