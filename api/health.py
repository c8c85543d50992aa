"""Is the process alive, may it be sent requests, and what has it counted."""

from fastapi import Response, status
from prometheus_client import CONTENT_TYPE_LATEST

from api.auth import AnyKey, guarded_router
from api.context import Shared
from api.schemas.health import AliveBody, ReadyBody

router = guarded_router(subject="operations")


@router.get("/healthz")
async def alive(caller: AnyKey) -> AliveBody:
    """The process answers. A balancer's probe sends a key of its own."""
    return AliveBody()


@router.get("/readyz", responses={503: {"model": ReadyBody}})
async def ready(caller: AnyKey, context: Shared, response: Response) -> ReadyBody:
    """503 until every ladder has been loaded once, and while the store does not answer."""
    now = await context.run(context.service.ready)
    is_ready = now.store and now.loaded
    if not is_ready:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return ReadyBody(ready=is_ready, store=now.store, ladders=now.loaded, newest=now.newest)


@router.get("/metrics", response_class=Response)
async def metrics(caller: AnyKey, context: Shared) -> Response:
    """Prometheus exposition of this process; nothing in it tells one tenant from another."""
    return Response(context.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
