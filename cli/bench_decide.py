"""Times decisions by the rung that answers: in process one by one, over HTTP at a declared rate."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from cli.commands.keys import revoke_keys
from cli.decision_folder import DecisionFolder
from cli.home import Home, open_runtime
from core.contracts import Decision, Json
from core.errors import Unavailable
from core.json_source import parse_json_lines
from core.text_file import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.runtime import Runtime

RUNGS = ("rules", "classical", "retrieval")
WARM_UP = 20  # first calls fill caches and let torch choose its kernels
START_S = 120.0
Progress = Callable[[str, int, int], None]


def bench_decide(
    home: Home, folder: DecisionFolder, tenant: str, n: int, progress: Progress
) -> dict[str, Any]:
    """Figures for each rung of RUNGS, None for one that answers none of the folder's requests."""
    content = read_text(folder.folder / "requests.jsonl")
    requests: list[Any] = [request for _, request in parse_json_lines(content)]
    runtime = open_runtime(home)
    groups, decisions, in_process = asyncio.run(
        _in_process(runtime, folder.spec.name, tenant, requests, n, progress)
    )
    commits = _commits(home, decisions, n)
    rate = folder.spec.budgets.throughput_per_s
    with _server(home, tenant) as (address, key):
        http = asyncio.run(_over_http(address, key, folder.spec.name, groups, n, rate, progress))
    return {
        "decision": folder.spec.name,
        "in_process": in_process,
        "http": http,
        "offered_per_s": rate,
        "commit_ms": commits,
        "cores": os.cpu_count(),
    }


async def _in_process(
    runtime: "Runtime", name: str, tenant: str, requests: Sequence[Any], n: int, progress: Progress
) -> tuple[dict[str, list[Any]], list[Decision], dict[str, Any]]:
    live = await runtime.live(tenant, name)
    groups: dict[str, list[Any]] = {}
    decisions = []
    for raw in requests:
        decision = await live.ladder.decide(runtime.request(live.spec, tenant, raw))
        decisions.append(decision)
        groups.setdefault(decision.rung, []).append(raw)
    figures: dict[str, Any] = dict.fromkeys(RUNGS)
    for rung in (rung for rung in RUNGS if rung in groups):

        async def ask(raw: Any) -> None:
            await live.ladder.decide(runtime.request(live.spec, tenant, raw))

        for raw in islice(cycle(groups[rung]), WARM_UP):
            await ask(raw)
        times = []
        for done, raw in enumerate(islice(cycle(groups[rung]), n)):
            started = time.perf_counter()
            await ask(raw)
            times.append(time.perf_counter() - started)
            progress(f"in process, {rung}", done + 1, n)
        figures[rung] = _figures(times, sum(times))
    return groups, decisions, figures


def _commits(home: Home, decisions: Sequence[Decision], n: int) -> dict[str, Any]:
    """One stored decision each, as serving stores it."""
    facts: dict[str, Json] = {}
    times = []
    for decision in islice(cycle(decisions), n):
        fresh = replace(decision, id=str(uuid4()), tenant_id="bench")
        started = time.perf_counter()
        home.store.record_decision(fresh, facts, review=False)
        times.append((time.perf_counter() - started) * 1000)
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {"p50": float(p50), "p99": float(p99), "n": len(times)}


async def _over_http(
    address: str,
    key: str,
    name: str,
    groups: dict[str, list[Any]],
    n: int,
    rate: float,
    progress: Progress,
) -> dict[str, Any]:
    import httpx

    headers = {"Authorization": f"Bearer {key}"}
    figures: dict[str, Any] = dict.fromkeys(RUNGS)
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60) as client:

        async def ask(raw: Any) -> None:
            answer = await client.post(f"/v1/decisions/{name}", json={"facts": raw})
            if answer.status_code != 200:
                raise Unavailable(
                    "RUNG-SERVER-START",
                    f"the server answered {answer.status_code} to the bench",
                    way_out="Look at RUNG_MAX_CONCURRENCY and the throughput that is declared.",
                )

        for rung in (rung for rung in RUNGS if rung in groups):
            for raw in islice(cycle(groups[rung]), WARM_UP):
                await ask(raw)
            bodies = list(islice(cycle(groups[rung]), n))
            told = partial(_told, progress, f"over HTTP, {rung}", n)
            times, took = await _at_rate([partial(ask, raw) for raw in bodies], rate, told)
            figures[rung] = _figures(times, took)
    return figures


def _told(progress: Progress, step: str, total: int, done: int) -> None:
    progress(step, done, total)


async def _at_rate(
    calls: Sequence[Callable[[], Awaitable[None]]], rate: float, told: Callable[[int], None]
) -> tuple[list[float], float]:
    """Each call starts on the clock, whether those before have ended or not, and is timed from
    when it was due: a queue that builds up is so not left out."""
    times: list[float] = []
    start = time.perf_counter()

    async def one(place: int, call: Callable[[], Awaitable[None]]) -> None:
        due = start + place / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await call()
        times.append(time.perf_counter() - due)
        told(len(times))

    await asyncio.gather(*(one(place, call) for place, call in enumerate(calls)))
    return times, time.perf_counter() - start


def _figures(times: Sequence[float], took: float) -> dict[str, Any]:
    p50, p95, p99 = np.quantile(np.array(times) * 1000, [0.5, 0.95, 0.99])
    return {
        "per_s": len(times) / took,
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "n": len(times),
    }


@contextmanager
def _server(home: Home, tenant: str) -> "Iterator[tuple[str, str]]":
    """A real server over this home, with a key for the time of the measurement."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"bench-{uuid4().hex[:8]}"  # never a key that somebody made
    key = home.store.create_key(tenant, name, ("decide",))
    words = [sys.executable, "-m", "cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(address, key, server)
        yield address, key
    finally:
        server.terminate()
        server.wait(timeout=60)
        revoke_keys(home, tenant, name)


def _wait_ready(address: str, key: str, server: "subprocess.Popen[bytes]") -> None:
    import httpx

    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            answer = httpx.get(f"{address}/readyz", headers={"Authorization": f"Bearer {key}"})
            if answer.status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise Unavailable(
        "RUNG-SERVER-START",
        "the server did not become ready",
        way_out="Run `rung serve` and read what it says.",
    )
