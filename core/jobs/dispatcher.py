"""Hands the outbox's messages to whoever wants their topic, in order, at least once."""

from collections.abc import Mapping
from typing import Protocol

from core.contracts import Json
from core.errors import Unavailable
from core.jobs.outbox import Outbox


class Sender(Protocol):
    def __call__(self, payload: Mapping[str, Json]) -> None:
        """Raises Unavailable where the message is not sure to have arrived."""
        ...


class Dispatcher:
    """A topic that `routes` does not name has no reader, and its messages are ticked off."""

    def __init__(self, outbox: Outbox, routes: Mapping[str, Sender]) -> None:
        self._outbox = outbox
        self._routes = routes

    def run_once(self) -> int:
        """How many were handed on. Raises Unavailable, with the rest put back, where a sender is
        down."""
        messages = self._outbox.take()
        for place, message in enumerate(messages):
            sender = self._routes.get(message.topic)
            try:
                if sender is not None:
                    sender(message.payload)
            except Unavailable:
                self._outbox.tick_off(messages[:place])
                self._outbox.put_back(messages[place:])
                raise
        self._outbox.tick_off(messages)
        return len(messages)
