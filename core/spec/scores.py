"""How the scores that a batch has made are kept and served."""

from typing import Literal

from pydantic import Field

from core.spec.strict import Name, Strict


class Scores(Strict):
    """`key` is the request field by which a score is found again.

    A score is stale once it is older than `fresh_for_hours`, or another release is live. Then the
    request is decided `online` from the facts sent along, it is answered with the `stale` score, or
    it is told (`refuse`).
    """

    key: Name
    fresh_for_hours: float = Field(default=24, gt=0, le=87_600)
    when_stale: Literal["online", "refuse", "stale"] = "online"
