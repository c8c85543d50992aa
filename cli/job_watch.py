"""Watches the ledger until no job of a tenant is open: bars in a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from cli.job_views import job_told, readable_counts, readable_job
from cli.told import note
from core.clock import Clock
from core.jobs import Job, JobLedger
from core.jobs.job import OPEN

LOOK_S = 0.5
SHOWN = 10  # running jobs that fit a terminal beside one another


class Screen(Protocol):
    def __call__(self, running: tuple[Job, ...], counts: Mapping[str, int]) -> None: ...


def watch_jobs(ledger: JobLedger, tenant_id: str, clock: Clock) -> dict[str, int]:
    """How many ended meanwhile, by state."""
    before = counts = ledger.counts(tenant_id)
    with _screen(clock) as show:
        while any(counts[state] for state in OPEN):
            show(ledger.jobs(tenant_id, "running", SHOWN), counts)
            time.sleep(LOOK_S)
            counts = ledger.counts(tenant_id)
    # A job that was tried again has left a state that it had ended in.
    return {state: max(0, n - before[state]) for state, n in counts.items() if state not in OPEN}


@contextmanager
def _screen(clock: Clock) -> Iterator[Screen]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def show(running: tuple[Job, ...], counts: Mapping[str, int]) -> None:
            now = clock.now()
            # Text, not str: a kind or a reason in brackets is no markup.
            lines = [Text(readable_job(job_told(job, now))) for job in running]
            live.update(Group(*lines, Text(readable_counts(counts))), refresh=True)

        yield show


class _Lines:
    """One line whenever the counts change."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, running: tuple[Job, ...], counts: Mapping[str, int]) -> None:
        line = readable_counts(counts)
        if line != self._last:
            note(line)
        self._last = line
