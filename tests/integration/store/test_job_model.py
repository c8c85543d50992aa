"""The ledger against a plain model of it, driven in any order: whatever happens, effects are
written at most once, never by whoever lost the claim, and states move along the drawn arrows."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import Connection, select

from core.errors import Conflict
from core.jobs import Job, JobLedger
from core.store import Store
from core.store.post import post
from core.store.tables import jobs, outbox
from tests.fakes.clock import FixedClock

ARROWS = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("running", "done"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("failed", "queued"),
    ("cancelled", "queued"),
}
LEASE = timedelta(seconds=10)


@dataclass
class Known:
    """One job as the model has it; `claim` counts the claims that were ever made of it."""

    content: str
    priority: int
    max_tries: int
    due: datetime
    state: str = "queued"
    tries: int = 0
    claim: int = 0
    held: int | None = None
    effects: int = 0

    @property
    def open(self) -> bool:
        return self.state in ("queued", "running")

    def claimable(self, now: datetime) -> bool:
        may = self.state == "queued" or (self.state == "running" and self.tries < self.max_tries)
        return may and self.due <= now


@dataclass(frozen=True)
class Claim:
    job: Job
    number: int


class Ledger(RuleBasedStateMachine):
    store: Store
    clock: FixedClock
    ids = Bundle("ids")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        with self.store.writing() as connection:
            for table in (jobs, outbox):
                connection.execute(table.delete())
        self.ledger = JobLedger(self.store)
        self.known: dict[str, Known] = {}
        self.before: dict[str, str] = {}

    @initialize(target=ids, priorities=st.permutations([-1, 0, 1]))
    def a_queue(self, priorities: list[int]) -> Any:
        return multiple(*(self.enqueue(f"{at}", at, 2) for at in priorities))

    @rule(seconds=st.sampled_from([1, 3, 10, 40]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(
        target=ids,
        content=st.sampled_from("ab"),
        priority=st.integers(-1, 1),
        max_tries=st.integers(1, 3),
    )
    def enqueue(self, content: str, priority: int, max_tries: int) -> Any:
        job_id = self.ledger.enqueue(
            "acme", "work", {}, content, priority=priority, max_tries=max_tries
        )
        same = [id for id, known in self.known.items() if known.open and known.content == content]
        if same:
            assert [job_id] == same
            return multiple()
        assert job_id not in self.known
        self.known[job_id] = Known(content, priority, max_tries, self.clock.now())
        return job_id

    @rule(target=claims)
    def claim_next(self) -> Any:
        now = self.clock.now()
        turn = sorted(
            (-known.priority, known.due, id)
            for id, known in self.known.items()
            if known.claimable(now)
        )
        job = self.ledger.claim_next(["work"], LEASE)
        assert (job and job.id) == (turn[0][-1] if turn else None)
        return self._claimed(job)

    @rule(target=claims, id=ids)
    def claim(self, id: str) -> Any:
        job = self.ledger.claim("acme", id, LEASE)
        assert (job is not None) == self.known[id].claimable(self.clock.now())
        return self._claimed(job)

    @rule(target=claims, claim=claims)
    def another_takes_over(self, claim: Claim) -> Any:
        """The worker of `claim` is slow, and goes on to use it."""
        self.clock.advance(seconds=LEASE.total_seconds())
        return self.claim(claim.job.id)

    def _claimed(self, job: Job | None) -> Any:
        if job is None:
            return multiple()
        known = self.known[job.id]
        known.state, known.tries, known.claim = "running", known.tries + 1, known.claim + 1
        known.held, known.due = known.claim, self.clock.now() + LEASE
        return Claim(job, known.claim)

    @rule(claim=claims, done=st.integers(0, 5))
    def renew(self, claim: Claim, done: int) -> None:
        if self._told(claim, lambda: self.ledger.renew(claim.job, LEASE, (done, 5))):
            self.known[claim.job.id].due = self.clock.now() + LEASE

    @rule(claim=claims)
    def finish(self, claim: Claim) -> None:
        """The claim stays in its bundle, so that a finished one is used again too."""

        def effect(connection: Connection) -> None:
            post(
                connection,
                tenant_id="acme",
                topic="effect",
                payload={"id": claim.job.id},
                now=self.clock.now(),
            )

        if self._told(claim, lambda: self.ledger.finish(claim.job, effect)):
            known = self.known[claim.job.id]
            known.state, known.held, known.effects = "done", None, known.effects + 1

    @rule(claim=consumes(claims), retry=st.booleans())
    def fail(self, claim: Claim, retry: bool) -> None:
        if self._told(claim, lambda: self.ledger.fail(claim.job, "why", retry=retry)):
            known = self.known[claim.job.id]
            known.held = None
            if retry and known.tries < known.max_tries:
                known.state = "queued"
                known.due = self.clock.now() + timedelta(seconds=2 ** (known.tries - 1))
            else:
                known.state = "failed"

    def _told(self, claim: Claim, change: Callable[[], object]) -> bool:
        """Whether it was done; a Conflict exactly where the claim is no longer the holder's."""
        if self.known[claim.job.id].held == claim.number:
            change()
            return True
        with pytest.raises(Conflict) as caught:
            change()
        assert caught.value.code == "RUNG-JOB-LEASE"
        return False

    @rule(id=ids)
    def cancel(self, id: str) -> None:
        known = self.known[id]
        if known.open:
            self.ledger.cancel("acme", id)
            known.state, known.held = "cancelled", None
        else:
            with pytest.raises(Conflict):
                self.ledger.cancel("acme", id)

    @rule(id=ids)
    def retry(self, id: str) -> None:
        known = self.known[id]
        waits = any(one.open and one.content == known.content for one in self.known.values())
        if known.state in ("failed", "cancelled") and not waits:
            self.ledger.retry("acme", id)
            known.state, known.tries, known.due = "queued", 0, self.clock.now()
        else:
            with pytest.raises(Conflict):
                self.ledger.retry("acme", id)

    @rule()
    def sweep(self) -> None:
        now = self.clock.now()
        self.ledger.sweep()
        for known in self.known.values():
            if known.state == "running" and known.due <= now:
                known.held = None
                if known.tries < known.max_tries:
                    known.state, known.due = "queued", now
                else:
                    known.state = "failed"

    @invariant()
    def they_agree(self) -> None:
        found = {job.id: job for job in self.ledger.jobs("acme", limit=1000)}
        assert {
            id: (job.state, job.tries, job.due_at) for id, job in found.items() if _due(job)
        } == {
            id: (known.state, known.tries, known.due)
            for id, known in self.known.items()
            if known.open
        }
        states = {id: str(job.state) for id, job in found.items()}
        assert states == {id: known.state for id, known in self.known.items()}
        moved = {
            (self.before[id], states[id]) for id in self.before if self.before[id] != states[id]
        }
        assert moved <= ARROWS
        self.before = states

    @invariant()
    def effects_are_written_once_and_by_the_holder(self) -> None:
        with self.store.reading() as connection:
            told = connection.execute(select(outbox.c.payload).where(outbox.c.topic == "effect"))
            written = [payload["id"] for payload in told.scalars()]
        assert len(set(written)) == len(written)
        assert set(written) == {id for id, known in self.known.items() if known.effects}


def _due(job: Job) -> bool:
    return job.state in ("queued", "running")


@pytest.fixture(scope="module", autouse=True)
def database() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        Ledger.clock = FixedClock()
        Ledger.store = Store.open(f"sqlite:///{Path(folder) / 'rung.db'}", Ledger.clock)
        yield
        Ledger.store.close()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
