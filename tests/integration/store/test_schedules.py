"""Schedules on both databases: each time once, whoever looks, and never two jobs of one at once."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from core.errors import InvalidRequest, NotFound
from core.jobs import JobLedger, Schedules
from core.store import Store
from tests.fakes.clock import FixedClock

HOUR = timedelta(hours=1)


@pytest.fixture
def schedules(store: Store) -> Schedules:
    return Schedules(store)


@pytest.fixture
def work_off(store: Store) -> Callable[[], int]:
    """Does every job that is due; how many there were."""
    ledger = JobLedger(store)

    def work() -> int:
        done = 0
        while job := ledger.claim_next(["score"], timedelta(seconds=60)):
            ledger.finish(job)
            done += 1
        return done

    return work


def put(schedules: Schedules, name: str = "nightly", **options: Any) -> datetime:
    every = options.pop("every", HOUR)
    return schedules.put("acme", name, "score", {"of": name}, every, **options).next_at


def next_times(schedules: Schedules) -> dict[str, datetime]:
    return {one.name: one.next_at for one in schedules.all("acme")}


def test_due_at_once_and_then_after_each_interval(
    schedules: Schedules, clock: FixedClock, work_off: Callable[[], int]
) -> None:
    start = clock.now()
    assert put(schedules) == start
    done = []
    for _ in range(13):  # 2 hours, both ends, in steps of 10 minutes
        schedules.enqueue_due()
        done.append(work_off())
        clock.advance(minutes=10)
    assert done == [1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert next_times(schedules) == {"nightly": start + 3 * HOUR}


def test_a_first_time_that_is_to_come(
    store: Store, schedules: Schedules, clock: FixedClock, work_off: Callable[[], int]
) -> None:
    first = clock.now() + timedelta(minutes=90)
    assert put(schedules, first_at=first) == first
    assert (schedules.enqueue_due(), work_off()) == (0, 0)
    clock.advance(minutes=90)
    assert schedules.enqueue_due() == 1
    (job,) = JobLedger(store).jobs("acme")
    assert (job.kind, job.payload, job.due_at) == ("score", {"of": "nightly"}, first)


def test_missed_times_are_not_made_up_for_and_the_beat_is_kept(
    schedules: Schedules, clock: FixedClock, work_off: Callable[[], int]
) -> None:
    start = clock.now()
    put(schedules)
    clock.advance(hours=7, minutes=20)
    assert (schedules.enqueue_due(), work_off(), schedules.enqueue_due()) == (1, 1, 0)
    assert next_times(schedules) == {"nightly": start + 8 * HOUR}


def test_while_its_last_job_is_open_there_is_no_other(
    store: Store, schedules: Schedules, clock: FixedClock, work_off: Callable[[], int]
) -> None:
    put(schedules)
    put(schedules, "weekly")
    for _ in range(3):
        assert schedules.enqueue_due() == 2
        clock.advance(hours=1)
    assert JobLedger(store).open_count() == 2
    assert work_off() == 2
    schedules.enqueue_due()
    assert JobLedger(store).open_count() == 2


def test_two_who_look_at_once_enqueue_each_time_once(
    store: Store, schedules: Schedules, clock: FixedClock, work_off: Callable[[], int]
) -> None:
    names = [f"of {number}" for number in range(10)]
    for name in names:
        put(schedules, name)
    for _ in range(3):
        together, due = threading.Barrier(4), []

        def look(together: threading.Barrier = together, due: list[int] = due) -> None:
            together.wait()
            due.append(Schedules(store).enqueue_due())

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(due) == len(names) == work_off()
        clock.advance(hours=1)


def test_one_of_the_same_name_is_replaced_also_by_several_at_once(
    schedules: Schedules, clock: FixedClock
) -> None:
    put(schedules)
    together = threading.Barrier(4)

    def replace(minutes: int) -> None:
        together.wait()
        put(schedules, every=timedelta(minutes=minutes))

    threads = [threading.Thread(target=replace, args=(minutes,)) for minutes in (5, 6, 7, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (one,) = schedules.all("acme")
    assert one.every in {timedelta(minutes=minutes) for minutes in (5, 6, 7, 8)}


@pytest.mark.parametrize(
    "every",
    [timedelta(0), timedelta(seconds=-60), timedelta(seconds=59.9), timedelta(days=366.1)],
)
def test_an_interval_that_is_no_schedules_is_refused(
    schedules: Schedules, every: timedelta
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        put(schedules, every=every)
    assert caught.value.code == "RUNG-SCHEDULE-INTERVAL"
    assert schedules.all("acme") == ()


def test_removed_it_comes_back_no_more_and_what_is_queued_stays(
    store: Store, schedules: Schedules, clock: FixedClock
) -> None:
    put(schedules)
    schedules.enqueue_due()
    with pytest.raises(NotFound) as caught:
        schedules.remove("other", "nightly")
    assert caught.value.code == "RUNG-SCHEDULE-UNKNOWN"
    schedules.remove("acme", "nightly")
    clock.advance(hours=2)
    assert schedules.enqueue_due() == 0
    assert JobLedger(store).counts("acme")["queued"] == 1


def test_a_tenant_sees_its_own(schedules: Schedules) -> None:
    put(schedules)
    assert schedules.all("other") == ()
    schedules.put("other", "nightly", "score", {}, 2 * HOUR)
    assert [one.every for one in schedules.all("acme")] == [HOUR]
