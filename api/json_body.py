"""Reads a request's body as strict JSON and as what its route wants, in bounded time."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from api.context import Shared
from api.errors import BodyTooSlow, invalid_request
from core.errors import InvalidDocument, InvalidRequest
from core.json_source import parse_json

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Read(Generic[Body]):
    """A body as its route wants it, and the digest that tells one request from another."""

    body: Body
    digest: str


def read_json(model: type[Body]) -> Callable[..., Awaitable[Read[Body]]]:
    """A dependency that reads the body as `model`. A route lists it after the caller's key."""

    async def reader(request: Request, context: Shared) -> Read[Body]:
        return parse_body(await raw_body(request, context.body_seconds), model)

    return reader


def parse_body(raw: bytes, model: type[Body]) -> Read[Body]:
    """Raises InvalidDocument where `raw` is no strict JSON, InvalidRequest where no `model`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidDocument(
            "RUNG-JSON-SYNTAX", "the bytes are not UTF-8", way_out="Send one JSON object in UTF-8."
        ) from None
    value = parse_json(text or "{}")  # a body may be left out where all of it is optional
    try:
        body = model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise invalid_request(place or "the body", first["msg"]) from None
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return Read(body=body, digest=hashlib.sha256(canonical).hexdigest())


async def raw_body(request: Request, seconds: float) -> bytes:
    """Raises BodyTooSlow and InvalidRequest."""
    try:
        with anyio.fail_after(seconds):
            return await request.body()
    except TimeoutError:
        raise BodyTooSlow(
            "RUNG-BODY-SLOW",
            f"the body did not arrive within {seconds:g} s",
            way_out="Send it again over a faster connection.",
        ) from None
    except ClientDisconnect:
        raise InvalidRequest(
            "RUNG-BODY-CUT",
            "the connection closed before the body ended",
            way_out="Send the whole body.",
        ) from None
