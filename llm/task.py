"""A task is what a model is asked, and how its reply becomes a value or is turned away."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic

from llm.door import Reason, T

MAX_REPLY = 200_000  # characters; far above any max_tokens, below what would hurt to parse


class Turned(Exception):
    """A reply that is not used, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


@dataclass(frozen=True, kw_only=True)
class Task(Generic[T]):
    prompt: str  # the version, for the trace
    system: str
    user: str
    read: Callable[[str], T]  # raises Turned

    @property
    def size(self) -> int:
        """Bytes. No tokenizer in use makes more tokens than a text has bytes."""
        return len(self.system.encode()) + len(self.user.encode())


def read_object(reply: str) -> dict[str, Any]:
    """The one JSON object that the reply is, fenced or not. Raises Turned.

    Words around it are refused, so that an object quoted from the data is never taken for the
    reply.
    """
    text = reply.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        text = text[text.index("\n") : -3]
    if len(text) > MAX_REPLY:
        raise Turned("llm_invalid_output")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Turned("llm_invalid_output") from None
    if not isinstance(value, dict):
        raise Turned("llm_invalid_output")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
