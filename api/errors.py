"""What the HTTP face itself refuses, and the one shape in which every refusal leaves.

RungError
├── RouteUnknown       no such path
├── MethodRefused      the path exists, the method does not
├── HostRefused        a Host header that this server does not answer to
├── MediaTypeRefused   a body that is no plain JSON
├── BodyTooSlow        a body that did not arrive in time
└── ServerFault        an error of ours; the log holds its id
"""

import json
import traceback

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from core.errors import InvalidRequest, RungError

RETRY_AFTER_S = 1  # a slot or a claim frees itself within one request's time


class RouteUnknown(RungError):
    status = 404


class MethodRefused(RungError):
    status = 405


class HostRefused(RungError):
    status = 400


class MediaTypeRefused(RungError):
    status = 415


class BodyTooSlow(RungError):
    status = 408
    retryable = True


class ServerFault(RungError):
    status = 500


def error_response(error: RungError) -> Response:
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retryable:
        headers["Retry-After"] = str(max(1, round(error.retry_after or RETRY_AFTER_S)))
    told = {"code": error.code, "message": error.message, "way_out": error.way_out}
    # ASCII, because a message may quote a caller's lone surrogate, which UTF-8 cannot carry.
    body = json.dumps({"error": {**told, "line": error.line}}, ensure_ascii=True)
    return Response(body, error.status, headers, "application/json")


def invalid_request(place: str, problem: str) -> InvalidRequest:
    """`place` may quote the caller: it is shown in ASCII and cut short."""
    shown = place[:80].encode("ascii", "backslashreplace").decode()
    return InvalidRequest(
        "RUNG-REQUEST-INVALID",
        f"{shown}: {problem}",
        way_out="Send what /openapi.json describes for this route.",
    )


def handle_errors(app: FastAPI) -> None:
    """Gives what FastAPI itself refuses the one shape; what a route raises gets it outside."""
    app.add_exception_handler(RequestValidationError, _not_admitted)
    app.add_exception_handler(HTTPException, _not_routed)


def frames(error: BaseException) -> str:
    """The exception's type and where it came from, never its message: that may quote a payload."""
    found = traceback.extract_tb(error.__traceback__)
    # Twelve reach from the store or a model up to the route that asked.
    where = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(found[-12:]))
    return f"{type(error).__module__}.{type(error).__qualname__} at {where}"


async def _not_admitted(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(invalid_request(".".join(map(str, first["loc"])), first["msg"]))


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        refused = MethodRefused(
            "RUNG-METHOD-REFUSED",
            "the path does not take this method",
            way_out="Use a method that the Allow header names.",
        )
        response = error_response(refused)
        response.headers.update(error.headers or {})
        return response
    return error_response(
        RouteUnknown(
            "RUNG-ROUTE-UNKNOWN",
            "there is no such path",
            way_out="See /openapi.json for the paths there are.",
        )
    )
