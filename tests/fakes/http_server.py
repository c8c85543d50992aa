"""`python -m tests.fakes.http_server FOLDER`: the real server around a fake service, until SIGTERM.

Prints its address once it takes requests. A message with "slow" takes a second.
"""

import asyncio
import sys
from pathlib import Path

from api.serve import serve
from core.clock import SystemClock
from core.contracts import Decision
from core.store import Claim, Store
from tests.fakes.service import SECRET, FakeService, settings_for


class SlowService(FakeService):
    async def decide(
        self, tenant_id: str, name: str, facts: object, *, idempotency: Claim | None = None
    ) -> Decision:
        if "slow" in str(facts):
            await asyncio.sleep(1)
        return await super().decide(tenant_id, name, facts, idempotency=idempotency)


def main(folder: Path) -> None:
    settings = settings_for(folder, max_concurrency=4)
    store = Store.open(settings.database_url, SystemClock(), secret=SECRET)
    serve(
        SlowService(store, SystemClock()),
        settings,
        port=0,
        announce=lambda address: print(address, flush=True),
    )
    print("stopped", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
