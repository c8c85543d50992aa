"""An OpenAI-compatible server on loopback that answers, or fails in one of the usual ways."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it came over the wire."""

    path: str
    headers: Mapping[str, str]  # names in lower case
    body: Any
    at: float  # time.monotonic()


class Behaviour(Protocol):
    async def serve(self, request: Received, writer: asyncio.StreamWriter) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A completion, whole or as server-sent events, as the request asks."""

    text: str | Callable[[Body], str]
    model: str = "fake-2026-01-01"
    usage: tuple[int, int] | None = (100, 20)  # prompt and completion tokens
    finish_reason: str = "stop"
    delay_s: float = 0.0
    drip_s: float = 0.0  # between two bytes of the body, or two events
    cut_after: int | None = None  # bytes of the body before the connection drops

    async def serve(self, request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.delay_s)
        text = self.text if isinstance(self.text, str) else self.text(request.body)
        if request.body.get("stream"):
            _head(writer, 200, {"Content-Type": "text/event-stream", "Connection": "close"})
            pieces: Iterable[bytes] = self._events(text)
        else:
            payload = json.dumps(self._completion(text)).encode()
            _head(writer, 200, _json_headers(len(payload)))
            pieces = [payload] if not self.drip_s else [bytes([b]) for b in payload]
        await self._send(writer, pieces)
        if request.body.get("stream"):
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
        left = self.cut_after
        for piece in pieces:
            if left is not None and len(piece) >= left:
                writer.write(piece[:left])
                await writer.drain()
                writer.close()
                return
            left = left - len(piece) if left is not None else None
            writer.write(piece)
            await writer.drain()
            if self.drip_s:
                await asyncio.sleep(self.drip_s)

    def _completion(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {**self._frame("chat.completion"), "choices": [choice], **self._usage()}

    def _events(self, text: str) -> Iterator[bytes]:
        def event(delta: dict[str, Any], finish: str | None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return _event({**self._frame("chat.completion.chunk"), "choices": [choice]})

        yield event({"role": "assistant", "content": ""}, None)
        for start in range(0, len(text), 8):
            yield event({"content": text[start : start + 8]}, None)
        yield event({}, self.finish_reason)
        if self.usage:
            yield _event({**self._frame("chat.completion.chunk"), "choices": [], **self._usage()})
        yield b"data: [DONE]\n\n"

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1767225600, "model": self.model}

    def _usage(self) -> dict[str, Any]:
        if not self.usage:
            return {}
        asked, told = self.usage
        tokens = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
        return {"usage": tokens}


@dataclass(frozen=True, kw_only=True)
class Fails:
    """An error status, as OpenAI words it."""

    status: int
    retry_after: str | None = None
    message: str = "refused"

    async def serve(self, request: Received, writer: asyncio.StreamWriter) -> None:
        payload = json.dumps({"error": {"message": self.message, "type": "fake"}}).encode()
        headers = _json_headers(len(payload))
        if self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        _head(writer, self.status, headers)
        writer.write(payload)
        await writer.drain()


@dataclass(frozen=True, kw_only=True)
class Sends:
    """Any bytes with status 200: invalid JSON, JSON of another shape, nothing."""

    payload: bytes

    async def serve(self, request: Received, writer: asyncio.StreamWriter) -> None:
        _head(writer, 200, _json_headers(len(self.payload)))
        writer.write(self.payload)
        await writer.drain()


@dataclass(frozen=True, kw_only=True)
class Resets:
    """Drops the connection with a TCP reset before any answer."""

    async def serve(self, request: Received, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()


class OpenAIServer:
    """Serves in a thread of its own, on a free port. The last behaviour of a script repeats."""

    def __init__(self, *script: Behaviour) -> None:
        self.script = list(script)
        self.received: list[Received] = []
        self.connections = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "OpenAIServer":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.connections += 1
        try:
            while not writer.is_closing() and (request := await _read(reader)):
                self.received.append(request)
                behaviour = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                await behaviour.serve(request, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(
        path=first.split(" ")[1],
        headers=headers,
        body=json.loads(body) if body else {},
        at=time.monotonic(),
    )


def _head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Fake", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _json_headers(length: int) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Length": str(length)}


def _event(payload: Body) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"
