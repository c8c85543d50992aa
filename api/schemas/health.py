"""Whether the process is alive and ready."""

from typing import Literal

from pydantic import Field

from api.schemas.common import Outgoing


class AliveBody(Outgoing):
    alive: Literal[True] = True


class ReadyBody(Outgoing):
    ready: bool
    store: bool
    ladders: bool = Field(
        description="Whether every live decision has been loaded; a later one does not undo it."
    )
    newest: bool = Field(
        description="Whether each answers by its newest release and index; else by those before."
    )
