"""How long answering takes, on a machine that other processes use too."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lab.decision_rows import DecisionRow
from lab.traces import request_of
from router.ladder import Ladder

PASSES = 5  # a row that is slow in all of them is slow by itself
QUANTILE = 0.95
TIMED_ROWS = 200  # ten of them are above the p95
PROVIDERS = frozenset({"llm"})  # the budget is without the time of whom the rung asks

Places = npt.NDArray[np.intp]


def timed_places(rows: int) -> Places:
    """At most TIMED_ROWS of them, spread evenly, as what comes late may be longer."""
    return np.unique(np.linspace(0, rows - 1, min(rows, TIMED_ROWS)).astype(np.intp))


def p95_of_least(
    first: Sequence[float], limit_ms: float, again: Callable[[Places], Sequence[float]]
) -> float:
    """p95 in milliseconds over rows, of the least that each row took in up to PASSES passes.

    What a row takes is the least of its times; the rest is what others did to the machine
    meanwhile (as `timeit` has it). `first` (n,) is one pass; `again` times the rows at these
    places of it once more. Only rows above the limit are timed again, and only as long as they
    are too many, so that where all is well one pass is enough. A tail that comes by chance and
    not by the row is forgiven here, and seen where it is served.
    """
    least = np.array(first, dtype=float)
    for _ in range(PASSES - 1):
        if np.quantile(least, QUANTILE) <= limit_ms:
            break
        slow = np.flatnonzero(least > limit_ms)
        least[slow] = np.minimum(least[slow], again(slow))
    return float(np.quantile(least, QUANTILE))


def took_ms(call: Callable[[], object]) -> float:
    """The time on the clock or this process's own on the processors, whichever is less.

    Models compute and wait for nobody, so that what the clock shows beyond the processors' time
    is other processes' (with eight for each processor, p95 of one ladder was ten times as long).
    On several cores at once the clock is the lesser.
    """
    clock, own = time.perf_counter(), time.process_time()
    call()
    return min(time.perf_counter() - clock, time.process_time() - own) * 1000


def time_ladder(
    ladder: Ladder, rows: Sequence[DecisionRow], name: str, places: Places
) -> list[float]:
    """Milliseconds that each of these rows takes: the ladder "rules", or any other name, the whole.

    Up to the rung that settles it, without a language model: nothing follows that one.
    """
    kept = {
        rung: own
        for rung, own in ladder.rungs.items()
        if rung not in PROVIDERS and (name != "rules" or rung == "rules")
    }
    local = replace(ladder, rungs=kept)
    requests = [request_of(ladder.name, rows[place], int(place)) for place in places]
    with asyncio.Runner() as runner:
        return [took_ms(lambda one=one: runner.run(local.decide(one))) for one in requests]  # type: ignore[misc]
