"""What stands before every route, as plain ASGI: faults, hosts, overload, size and type."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import HostRefused, MediaTypeRefused, ServerFault, error_response, frames
from api.metrics import UNMATCHED, Metrics
from core.errors import Overloaded, RungError, TooLarge

log = logging.getLogger("rung.api")
CLOSED_BY_CLIENT = 499  # as nginx counts a request that nobody waited for
# Answers are for one caller and are data, never a page.
SECURITY_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class Observed:
    """Counts and times every exchange, and adds the headers that all answers share."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status = CLOSED_BY_CLIENT
        started = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self.metrics.answered(scope["method"], route, status, time.perf_counter() - started)


class FaultBoundary:
    """Turns every refusal into its answer, and an unexpected exception into a 500 with an id.

    The log gets the id, the exception's type and its frames, never its message: that may quote a
    payload or a key.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if isinstance(error, RungError) and not started:
                self._note(error)
                return await error_response(error)(scope, receive, send)
            fault = uuid.uuid4().hex
            self.metrics.faults.inc()
            log.error("fault %s: %s", fault, frames(error))
            if started:
                raise ConnectionError(f"fault {fault} cut an answer that had begun") from None
            await error_response(_server_fault(fault))(scope, receive, send)

    def _note(self, refusal: RungError) -> None:
        if isinstance(refusal, Overloaded):
            self.metrics.shed.inc()
        elif refusal.status >= 500:
            log.error("%s: %s", refusal.code, frames(refusal))


class TrustedHosts:
    """Answers only to its own names; `*` admits all. A port in the header does not matter."""

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "*" not in self.hosts:
            named = [value for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or _without_port(named[0].decode("latin-1")) not in self.hosts:
                raise HostRefused(
                    "RUNG-HOST-UNKNOWN",
                    "this server does not answer to the host that the request names",
                    way_out="Use the server's own name, or add yours to RUNG_TRUSTED_HOSTS.",
                )
        await self.app(scope, receive, send)


class Admission:
    """Admits `limit` requests to /v1 at once and sheds the rest before a byte of body is read.

    Probes and metrics pass: an overloaded server must not look like a dead one.
    """

    def __init__(self, app: ASGIApp, *, limit: int, metrics: Metrics) -> None:
        self.app = app
        self.limit = limit
        self.metrics = metrics
        self.admitted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self.app(scope, receive, send)
        if self.admitted >= self.limit:
            raise Overloaded(
                "RUNG-SERVER-OVERLOADED",
                f"{self.limit} requests are being answered already",
                way_out="Send it again after the seconds in Retry-After.",
                retry_after=1,
            )
        self.admitted += 1
        self.metrics.in_flight.set(self.admitted)
        try:
            await self.app(scope, receive, send)
        finally:
            self.admitted -= 1
            self.metrics.in_flight.set(self.admitted)


class PlainJson:
    """Refuses a body that is not plain JSON or is larger than `max_bytes`.

    The size is counted on the stream too: a chunked body declares none. What `streamed` names is
    read by its route line by line, and may be of any length.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        streamed: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.streamed(scope):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        if declared.isdigit() and (len(declared) > 18 or int(declared) > self.max_bytes):
            raise self._too_large()
        if declared not in ("", "0") or "transfer-encoding" in headers:
            _refuse_other_types(headers)
        counted = 0

        async def receiving() -> Message:
            nonlocal counted
            message = await receive()
            counted += len(message.get("body", b""))
            if counted > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, receiving, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            "RUNG-BODY-SIZE",
            f"the body is larger than {self.max_bytes} bytes",
            way_out="Send less; a longer text is a document for the corpus.",
        )


def _refuse_other_types(headers: Headers) -> None:
    kind, _, parameter = headers.get("content-type", "").lower().partition(";")
    charset = parameter.strip().removeprefix("charset=").strip('"')
    encoding = headers.get("content-encoding", "identity").lower()
    if kind.strip() != "application/json" or charset not in ("", "utf-8") or encoding != "identity":
        raise MediaTypeRefused(
            "RUNG-BODY-TYPE",
            "the body is not declared as plain JSON in UTF-8",
            way_out="Send Content-Type: application/json and no Content-Encoding.",
        )


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return (
        name if colon and port.isdigit() and (":" not in name or name[-1:] == "]") else host.lower()
    )


def _server_fault(fault: str) -> ServerFault:
    return ServerFault(
        "RUNG-SERVER-FAULT",
        f"an error of ours, {fault}",
        way_out="Send it again; if it stays, tell the operator this id.",
    )
