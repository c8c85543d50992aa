"""Clients that never give a request up: each is sent with one key until it is acknowledged."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.fakes.ledger_outside import OutsideLedger

INFLIGHT = "RUNG-IDEMPOTENCY-INFLIGHT"
AGAIN_S = 0.05
INFLIGHT_AGAIN_S = 1.0  # as its Retry-After says; the claim of a dead server lasts a minute
SENT_TWICE = 0.05  # share of what is sent once more after its answer


@dataclass(order=True)
class Task:
    due: float
    key: str = field(compare=False)
    path: str = field(compare=False)
    body: dict[str, Any] = field(compare=False)
    status: int = field(compare=False)


class Load:
    """Decisions, and a feedback on each, from `clients` threads until `total` are acknowledged."""

    def __init__(
        self,
        *,
        address: str,
        key: str,
        name: str,
        facts_of: Callable[[int], dict[str, Any]],
        truth: str,
        ledger: OutsideLedger,
        total: int,
        clients: int = 6,
        patience_s: float,
    ) -> None:
        self._address, self._headers = address, {"Authorization": f"Bearer {key}"}
        self._name, self._facts_of, self._truth = name, facts_of, truth
        self._ledger = ledger
        self._total, self._clients = total, clients
        self._last = time.monotonic() + patience_s
        self._lock = threading.Lock()
        self._next = 0
        self._waiting: deque[Task] = deque()
        self.acknowledged = 0
        self.lost_connections = 0
        self.replayed = 0
        self.faults: list[str] = []

    def run(self) -> None:
        """Returns when all is acknowledged, or there was a fault. Raises TimeoutError."""
        threads = [
            threading.Thread(target=self._client, args=(n,), name=f"client {n}")
            for n in range(self._clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.acknowledged < self._total and not self.faults:
            raise TimeoutError(f"{self.acknowledged} of {self._total} acknowledged")

    def _client(self, number: int) -> None:
        source = random.Random(number)
        try:
            with httpx.Client(base_url=self._address, headers=self._headers, timeout=30) as client:
                while self._goes_on():
                    task = self._take()
                    if not self._send(client, task):
                        continue
                    if source.random() < SENT_TWICE:
                        self._send(client, task, again=True)
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    def _goes_on(self) -> bool:
        over = self.acknowledged >= self._total or bool(self.faults)
        return not over and time.monotonic() < self._last

    def _take(self) -> Task:
        """What waits and is due, else a new decision."""
        with self._lock:
            for _ in range(len(self._waiting)):
                task = self._waiting.popleft()
                if task.due <= time.monotonic():
                    return task
                self._waiting.append(task)
            number, self._next = self._next, self._next + 1
        task = Task(
            due=0.0,
            key=f"decide-{number}",
            path=f"/v1/decisions/{self._name}",
            body={"facts": self._facts_of(number)},
            status=200,
        )
        self._ledger.sent(task.key, task.body)
        return task

    def _send(self, client: httpx.Client, task: Task, *, again: bool = False) -> bool:
        """Whether it was acknowledged; else it waits to be sent again."""
        try:
            response = client.post(task.path, json=task.body, headers={"Idempotency-Key": task.key})
        except httpx.TransportError:
            self.lost_connections += 1
            return self._later(task, AGAIN_S, again)
        code = response.json().get("error", {}).get("code")
        if response.status_code == 409 and code == INFLIGHT:
            return self._later(task, INFLIGHT_AGAIN_S, again)
        if response.status_code == 503:
            return self._later(task, AGAIN_S, again)
        if response.status_code != task.status:
            self.faults.append(f"{task.key}: {response.status_code} {response.text}")
            return False
        self._noted(task, response, again)
        return True

    def _noted(self, task: Task, response: httpx.Response, again: bool) -> None:
        answer = response.json()
        self._ledger.acknowledged(task.key, answer)
        replayed = "Idempotency-Replayed" in response.headers
        if again and not replayed:
            self.faults.append(f"{task.key} was carried out a second time")
        with self._lock:
            self.replayed += replayed
            self.acknowledged += not again
        if not again and task.key.startswith("decide-"):
            self._feedback(int(task.key.removeprefix("decide-")), answer["id"])

    def _feedback(self, number: int, decision_id: str) -> None:
        body = {
            "decision_id": decision_id,
            "truth": self._truth,
            "kpi": float(number),
            "source": "the load",
            "happened_at": datetime.now(UTC).isoformat(),
        }
        key = f"feedback-{number}"
        self._ledger.sent(key, body)
        path = f"/v1/decisions/{self._name}/feedback"
        with self._lock:
            self._waiting.append(Task(due=0.0, key=key, path=path, body=body, status=201))

    def _later(self, task: Task, seconds: float, again: bool) -> bool:
        if not again:
            task.due = time.monotonic() + seconds
            with self._lock:
                self._waiting.append(task)
        time.sleep(AGAIN_S)
        return False
