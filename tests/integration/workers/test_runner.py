"""What a runner makes of a work that fails, hangs, or is called off while it runs."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from core.errors import Conflict
from core.jobs import Job, JobLedger
from core.jobs.cancel import REASON, cancel_job
from core.store import Store
from tests.fakes.clock import FixedClock
from tests.fakes.corpus_world import PLACE, CorpusWorld
from workers.runner import Done, JobRunner, Report

KIND = "fake"


class FakeWork:
    kind = KIND

    def __init__(self, run: Callable[[Job, Report], Done]) -> None:
        self._run = run

    def run(self, job: Job, report: Report) -> Done:
        return self._run(job, report)

    def failed(self, job: Job, reason: str) -> None:
        return None


@pytest.fixture
def ledger(store: Store) -> JobLedger:
    return JobLedger(store)


def test_a_conflict_of_the_work_is_its_failure_and_no_lost_lease(
    store: Store, ledger: JobLedger
) -> None:
    def run(job: Job, report: Report) -> Done:
        raise Conflict("RUNG-OUTPUT-EXISTS", "the output is there", way_out="Remove it.")

    id = ledger.enqueue("acme", KIND, {}, "hash")
    assert JobRunner(store, [FakeWork(run)]).run_next()
    job = ledger.job("acme", id)
    assert job is not None and job.state == "failed"
    assert job.reason == "RUNG-OUTPUT-EXISTS: the output is there. Remove it."


def test_what_is_cancelled_while_it_runs_leaves_no_effects(store: Store, ledger: JobLedger) -> None:
    effects: list[str] = []

    def run(job: Job, report: Report) -> Done:
        ledger.cancel("acme", job.id)
        return Done(result={"of": "no use"}, effects=lambda connection: effects.append("written"))

    id = ledger.enqueue("acme", KIND, {}, "hash")
    assert JobRunner(store, [FakeWork(run)]).run_next()
    job = ledger.job("acme", id)
    assert job is not None and (job.state, job.result) == ("cancelled", None)
    assert effects == []


def test_a_work_that_hangs_loses_its_lease(
    store: Store, ledger: JobLedger, clock: FixedClock
) -> None:
    """Its beat ends by itself: what says nothing for so long is not kept from others for ever."""
    lease, effects, others = timedelta(seconds=3), list[str](), list[Job]()

    def run(job: Job, report: Report) -> Done:
        last = time.monotonic() + 4 * lease.total_seconds()
        while not others and time.monotonic() < last:
            time.sleep(0.05)
            clock.advance(seconds=0.05)
            if (claimed := ledger.claim_next([KIND], lease)) is not None:
                others.append(claimed)
        return Done(result={"of": "no use"}, effects=lambda connection: effects.append("written"))

    id = ledger.enqueue("acme", KIND, {}, "hash")
    runner = JobRunner(store, [FakeWork(run)], lease=lease, longest_silence_s=0.5)
    assert runner.run_next()
    assert [(other.id, other.tries) for other in others] == [(id, 2)]
    ledger.finish(others[0], result={"of": "the other"})
    job = ledger.job("acme", id)
    assert job is not None and (job.state, job.result) == ("done", {"of": "the other"})
    assert effects == []


def test_documents_of_a_cancelled_job_are_taken_when_they_are_sent_again(
    world: CorpusWorld,
) -> None:
    world.put({"a": "how to pay"})
    (job,) = world.jobs("embed_documents")
    assert cancel_job(world.ledger, "acme", job.id).state == "cancelled"
    assert world.states() == {"failed": 1}
    told = world.store.document(*PLACE, "a")
    assert told.reason == REASON
    world.put({"a": "how to pay"})
    world.run()
    assert world.held() == {"a": "how to pay"}
