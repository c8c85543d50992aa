"""Reads a stream of JSON lines of any length in bounded memory, each line in bounded time."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from api.errors import BodyTooSlow
from core.contracts import Json
from core.errors import InvalidDocument, InvalidRequest, RungError, TooLarge
from core.json_source import parse_json

KIND = "application/x-ndjson"
STREAMED = re.compile(r"/v1/corpora/[^/]+/documents")  # the one route that takes such a body
# A document of a million characters, each written as \uXXXX at the most, and some room for its id.
LONGEST_LINE = 6_100_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """`value` or why there is none."""

    number: int
    value: Json = None
    refused: RungError | None = None


def is_streamed(scope: Scope) -> bool:
    """Whether this request may send JSON lines without an end; every other is refused as before."""
    if scope["method"] != "PUT" or not STREAMED.fullmatch(scope["path"]):
        return False
    return is_ndjson(Headers(scope=scope))


def is_ndjson(headers: Headers) -> bool:
    kind, _, parameter = headers.get("content-type", "").lower().partition(";")
    charset = parameter.strip().removeprefix("charset=").strip('"')
    encoding = headers.get("content-encoding", "identity").lower()
    return kind.strip() == KIND and charset in ("", "utf-8") and encoding == "identity"


async def read_lines(
    request: Request, seconds: float, *, longest: int = LONGEST_LINE
) -> AsyncIterator[Line]:
    """Every line that is not blank. One that is too long is passed over without being held.

    Raises BodyTooSlow where a line takes more than `seconds`, InvalidRequest where the body is cut.
    """
    number, held, skipping = 1, bytearray(), False
    async for chunk in _chunks(request, seconds):
        *ends, rest = chunk.split(b"\n")
        for part in ends:
            if skipping or len(held) + len(part) > longest:
                yield Line(number=number, refused=_too_long(longest))
            elif line := _line(number, bytes(held + part)):
                yield line
            number, skipping = number + 1, False
            held.clear()
        skipping = skipping or len(held) + len(rest) > longest
        held = bytearray() if skipping else held + rest
    if skipping:
        yield Line(number=number, refused=_too_long(longest))
    elif line := _line(number, bytes(held)):
        yield line


def _line(number: int, raw: bytes) -> Line | None:
    if not raw.strip():
        return None
    try:
        return Line(number=number, value=parse_json(raw.decode("utf-8"), line=number))
    except UnicodeDecodeError:
        refused = InvalidDocument(
            "RUNG-JSON-SYNTAX",
            "the bytes are not UTF-8",
            way_out="Send one JSON object a line, in UTF-8.",
            line=number,
        )
        return Line(number=number, refused=refused)
    except RungError as error:
        return Line(number=number, refused=error)


async def _chunks(request: Request, seconds: float) -> AsyncIterator[bytes]:
    stream = request.stream().__aiter__()
    ends_by = anyio.current_time() + seconds
    while True:
        try:
            with anyio.fail_after(ends_by - anyio.current_time()):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise BodyTooSlow(
                "RUNG-BODY-SLOW",
                f"a line of the body did not arrive within {seconds:g} s",
                way_out="Send it again; what was stored already changes nothing.",
            ) from None
        except ClientDisconnect:
            raise InvalidRequest(
                "RUNG-BODY-CUT",
                "the connection closed before the body ended",
                way_out="Send the whole body; what was stored already changes nothing.",
            ) from None
        if chunk is None:
            return
        yield chunk  # whoever takes it may wait for the database: that time is not the sender's
        if b"\n" in chunk:
            ends_by = anyio.current_time() + seconds


def _too_long(longest: int) -> TooLarge:
    return TooLarge(
        "RUNG-CORPUS-SIZE",
        f"the line is longer than {longest:,} bytes",
        way_out="Split the document into articles.",
    )
