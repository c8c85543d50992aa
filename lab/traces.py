"""Held-out rows through every rung of a ladder, and what each verdict would have cost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.contracts import ANSWER, Request, Verdict
from core.spec import Costs
from lab.decision_rows import DecisionRow
from lab.fit_policy import HeldOutTrace
from router.ladder import Ladder
from router.reading import Known

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # no rung reads when a request was received


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One row with the verdict of every rung that its ladder has, and what those could have said
    of which that was known before, by rung."""

    row: DecisionRow
    verdicts: tuple[Verdict, ...]
    known: Known
    foreseen: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)


def observe(
    ladder: Ladder, rows: Sequence[DecisionRow], progress: Callable[[int, int], None]
) -> list[Observed]:
    async def every() -> list[Observed]:
        result = []
        for number, row in enumerate(rows):
            told = await ladder.ask_every(request_of(ladder.name, row, number))
            result.append(
                Observed(row=row, verdicts=told.verdicts, known=told.known, foreseen=told.foreseen)
            )
            progress(number + 1, len(rows))
        return result

    return asyncio.run(every())


def request_of(name: str, row: DecisionRow, number: int) -> Request:
    return Request(
        id=f"row-{number}", tenant_id="lab", decision=name, facts=row.facts, received_at=EPOCH
    )


def is_right(row: DecisionRow, outcome: str, verdict: Verdict) -> bool:
    """An answer is right where it cites every document that the row's answer must rest on."""
    if outcome != row.truth:
        return False
    if outcome != ANSWER:
        return True
    return verdict.answer is not None and row.documents <= set(verdict.answer.citations)


def realised_cost(costs: Costs, row: DecisionRow, verdict: Verdict) -> float | None:
    """What answering with this verdict costs, now that the truth is known; None: abstained."""
    if verdict.abstained:
        return None
    worst = 0.0
    for outcome in verdict.outcomes:
        if not is_right(row, outcome, verdict):
            missed = outcome == ANSWER and row.truth == ANSWER
            cost = costs.wrong_answer if missed else costs.of(outcome, row.truth)
            worst = max(worst, cost)
    return worst


def trace_of(costs: Costs, seen: Observed) -> HeldOutTrace:
    return HeldOutTrace(
        verdicts=seen.verdicts,
        realised=tuple(realised_cost(costs, seen.row, verdict) for verdict in seen.verdicts),
        person=costs.of_person(),
        foreseen=seen.foreseen,
    )
