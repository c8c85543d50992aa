"""What the routes of one app share, reached through the app and never through a global."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

import anyio
from fastapi import Depends, Request

from api.metrics import Metrics
from api.ports import Service
from core.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")
# A store call is one short transaction; more threads than this only queue for the database's lock.
STORE_THREADS = 16
ONLINE_AT_ONCE = 4  # rows of one request for scores: models have one thread, and others wait too


@dataclass(frozen=True, kw_only=True)
class Context:
    """`run` has threads of its own, so that slow models cannot keep a key from being checked."""

    service: Service
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    body_seconds: float = 10.0  # the largest admitted body needs 1 s on a slow mobile line
    online_seconds: float = 30.0  # within which a request for scores begins what it decides
    online_at_once: int = ONLINE_AT_ONCE
    limiter: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(STORE_THREADS)
    )

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call to the store, in a thread."""
        return await anyio.to_thread.run_sync(partial(call, *args, **kwargs), limiter=self.limiter)


async def _context(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


Shared = Annotated[Context, Depends(_context)]
