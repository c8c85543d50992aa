"""Every route asks for an API key: a route without that dependency cannot be made."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from api.context import Shared
from api.schemas.common import ErrorBody
from core.errors import Forbidden
from core.identity.keys import Principal, refused_key

BEARER = HTTPBearer(auto_error=False, description="Authorization: Bearer <key>")
HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")


async def authenticated(
    needed: SecurityScopes,
    context: Shared,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    header: Annotated[str | None, Depends(HEADER)],
) -> Principal:
    """Who asks. Raises Unauthorized without a good key, Forbidden without the route's scope."""
    presented = bearer.credentials if bearer else header
    if not presented:
        raise refused_key()
    principal = await context.run(context.service.store.verify_key, presented)
    missing = sorted(set(needed.scopes) - set(principal.scopes))
    if missing:
        raise Forbidden(
            "RUNG-SCOPE-MISSING",
            f"this key lacks the scope '{missing[0]}'",
            way_out=f"Make a key with `rung key create --scope {missing[0]}`.",
        )
    return principal


AnyKey = Annotated[Principal, Security(authenticated, scopes=[])]
Decider = Annotated[Principal, Security(authenticated, scopes=["decide"])]
Reader = Annotated[Principal, Security(authenticated, scopes=["read"])]
Witness = Annotated[Principal, Security(authenticated, scopes=["feedback"])]
Teller = Annotated[Principal, Security(authenticated, scopes=["events"])]
Reviewer = Annotated[Principal, Security(authenticated, scopes=["review"])]
Operator = Annotated[Principal, Security(authenticated, scopes=["jobs"])]


def guarded_router(prefix: str = "", *, subject: str) -> APIRouter:
    """A router whose every route must ask for a key."""
    refusals: dict[int | str, dict[str, Any]] = {
        "4XX": {"model": ErrorBody, "description": "Refused: code, message and way out."},
        "5XX": {"model": ErrorBody, "description": "Not now: see Retry-After."},
    }
    return APIRouter(prefix=prefix, route_class=GuardedRoute, tags=[subject], responses=refusals)


class GuardedRoute(APIRoute):
    """Refuses to exist without a key: an oversight fails when the process starts."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if not guarded(self.dependant):
            raise RuntimeError(f"{path} has no API key among its dependencies")


def guarded(dependant: Dependant) -> bool:
    return any(part.call is authenticated for part in dependant.dependencies)
