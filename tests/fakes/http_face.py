"""One app over a fake service and a real store on SQLite, with a client that speaks ASGI to it."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import create_app
from core.identity.keys import SCOPES
from core.store import Store
from tests.fakes.service import SECRET, FakeService, PinnedClock, settings_for


class Face:
    """Tenant "acme" holds `key`, with every scope; "other" holds `foreign`."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.clock = PinnedClock()
        self.settings = settings_for(folder, trusted_hosts=("testserver",), **settings)
        self.store = Store.open(self.settings.database_url, self.clock, secret=SECRET)
        self.service = FakeService(self.store, self.clock)
        self.app: FastAPI = create_app(self.service, self.settings, self.clock)
        self.key = self.store.create_key("acme", "all", SCOPES)
        self.foreign = self.store.create_key("other", "all", SCOPES)

    def scoped(self, *scopes: str) -> str:
        return self.store.create_key("acme", "+".join(scopes), scopes)

    def run(self, talk: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]) -> Any:
        """`talk` with a client that carries `key`; a fault of the app is not hidden."""

        async def talking() -> Any:
            transport = httpx.ASGITransport(app=self.app)
            headers = {"Authorization": f"Bearer {self.key}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver", headers=headers
            ) as client:
                return await talk(client)

        return asyncio.run(talking())

    def send(self, method: str, path: str, *, key: str | None = None, **options: Any) -> Any:
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self.run(lambda c: c.request(method, path, headers=headers, **options))

    def decide(self, message: str = "when does it arrive?", **options: Any) -> Any:
        body = {"facts": {"message": message}}
        return self.send("POST", "/v1/decisions/support", json=body, **options)

    def counted(self, name: str, **labels: str) -> float:
        return self.app.state.context.metrics.registry.get_sample_value(name, labels) or 0.0
