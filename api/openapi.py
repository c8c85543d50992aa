"""Describes this API to whoever has a key, with the bodies that routes read themselves."""

from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from api.auth import AnyKey, guarded_router

router = guarded_router(subject="operations")


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """What a route that uses `read_json(model)` adds to its description."""
    schema = model.model_json_schema()
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": "required" in schema, "content": content}}


@router.get("/openapi.json", include_in_schema=False)
async def description(caller: AnyKey, request: Request) -> Response:
    return JSONResponse(request.app.openapi())
