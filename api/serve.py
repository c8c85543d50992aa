"""Runs the HTTP face in this process until it is told to stop."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from api.app import create_app
from api.ports import Service
from core.errors import InvalidSettings
from core.settings import Settings

GRACE_S = 30  # for requests under way at the stop; then the balancer's patience ends as well
BACKLOG = 2048


def serve(
    service: Service,
    settings: Settings,
    host: str | None = None,
    port: int | None = None,
    *,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Blocks. Port 0 takes a free one. `announce` is told the address once requests are
    taken; without it the address is printed.

    Raises InvalidSettings where the address cannot be listened on.
    """
    listening = _listen(host or settings.host, settings.port if port is None else port)
    config = uvicorn.Config(
        create_app(service, settings),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,  # paths and addresses are personal data; /metrics counts
        log_level="warning",
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who the caller says it is
        timeout_graceful_shutdown=GRACE_S,
    )
    with listening, _sigterm_as_interrupt(), suppress(KeyboardInterrupt):
        _Announcing(config, announce or _print_address).run(sockets=[listening])


def _print_address(address: str) -> None:
    print(f"Rung answers at {address}", flush=True)  # whoever waits for it may read a pipe


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port, *_ = sockets[0].getsockname()
            self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """uvicorn raises the signal again once it has stopped; the caller is to tidy up after us."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError, ValueError, TypeError) as error:  # the last two: a NUL, a dot
        raise InvalidSettings(
            "RUNG-SERVER-ADDRESS",
            f"{host} port {port} cannot be listened on ({error})",
            way_out="Choose another with --port, or stop what listens there.",
        ) from error
