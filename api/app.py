"""Puts the HTTP face together: one service, its routes, and what stands before them."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from starlette.middleware import Middleware

from api import corpora, decisions, entities, feedback, health, jobs, openapi, reviews, scores
from api.auth import GuardedRoute
from api.context import ONLINE_AT_ONCE, Context
from api.errors import frames, handle_errors
from api.middleware import Admission, FaultBoundary, Observed, PlainJson, TrustedHosts
from api.ndjson import is_streamed
from api.ports import Service
from core.clock import Clock, SystemClock
from core.jobs.housekeeping import prune_old
from core.settings import Settings
from core.store import Store

WARM_AGAIN_S = 1.0
PRUNE_AGAIN_S = 3600.0  # what is kept is counted in hours and days
log = logging.getLogger("rung.api")
ROOMS = (decisions, feedback, reviews, entities, corpora, jobs, scores, health, openapi)


def create_app(service: Service, settings: Settings, clock: Clock | None = None) -> FastAPI:
    """An app without global state. Raises RuntimeError for a route that asks for no key."""
    context = Context(
        service=service,
        clock=clock or SystemClock(),
        online_at_once=min(ONLINE_AT_ONCE, settings.max_concurrency),
    )
    metrics = context.metrics
    app = FastAPI(
        title="Rung",
        version="1",
        summary="Answers each request on the lowest rung that can be trusted with it.",
        # The pages that show a description load scripts from a foreign host.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # served by a route of ours, which asks for a key
        redirect_slashes=False,  # a redirect would repeat the caller's Host header
        telemetry={"logs": False},  # FastAPI's would hold messages that may quote a payload
        lifespan=_warming,
        middleware=[
            Middleware(Observed, metrics=metrics),
            Middleware(FaultBoundary, metrics=metrics),
            Middleware(TrustedHosts, hosts=settings.trusted_hosts),
            Middleware(Admission, limit=settings.max_concurrency, metrics=metrics),
            Middleware(PlainJson, max_bytes=settings.max_body_bytes, streamed=is_streamed),
        ],
    )
    app.state.context = context
    handle_errors(app)
    for room in ROOMS:
        # Not include_router: routes stay flat in app.routes, where each can be looked at.
        app.router.routes.extend(room.router.routes)
    open_ones = [route for route in app.routes if not isinstance(route, GuardedRoute)]
    if open_ones:
        raise RuntimeError(f"a route without an API key: {open_ones}")
    return app


@asynccontextmanager
async def _warming(app: FastAPI) -> AsyncIterator[None]:
    """Loads the ladders beside the requests, and what is newer where no request comes; forgets
    what is over long ago, as there may be no worker that does."""
    context: Context = app.state.context
    over = threading.Event()
    threading.Thread(
        target=_kept_small, args=(context.service.store, over), name="rung prunes", daemon=True
    ).start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_kept_warm, context)
        yield
        tasks.cancel_scope.cancel()
    over.set()
    await context.service.close()


async def _kept_warm(context: Context) -> None:
    while True:
        try:
            await context.service.warm()
        except Exception as error:
            log.error("the ladders could not be loaded: %s", type(error).__name__)
        await anyio.sleep(WARM_AGAIN_S)


def _kept_small(store: Store, over: threading.Event) -> None:
    """No stop waits for it: what it leaves undone, the next one does."""
    while True:
        try:
            prune_old(store)
        except Exception as error:
            log.error("what is over long ago could not be forgotten: %s", frames(error))
        if over.wait(PRUNE_AGAIN_S):
            return
