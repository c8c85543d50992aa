"""Answer now, ask the next rung or hand over to a person: whichever is expected to cost least.

    stop  if  min_a Σ_y p(y)·C[a, y]  <=  price + value_of_time·latency + E[cost after | bin]

The last expectation is looked up by the rung's own score (the cost of answering now), in bins that
lab fits on held-out traces by backward induction. Where all that the next rung could say is known
before it is asked, the cost after it is at least that of the best of these. No threshold is typed
in: costs give them.
"""

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Verdict
from core.spec import Costs

ABSTAINED = "abstained"


def expected_cost(costs: Costs, outcome: str, belief: Mapping[str, float]) -> float:
    """Σ_y p(y)·C[outcome, y], in the currency of the costs.

    What the belief leaves open, 1 - Σp, counts as the worst truth: not knowing is never cheap.
    """
    known = sum(p * costs.of(outcome, truth) for truth, p in belief.items())
    return known + max(0.0, 1.0 - sum(belief.values())) * costs.worst(outcome)


def cheapest_outcome(costs: Costs, outcomes: Sequence[str], belief: Mapping[str, float]) -> str:
    """The outcome of the least expected cost; the first by name where several tie."""
    return min(sorted(outcomes), key=lambda outcome: expected_cost(costs, outcome, belief))


def cost_now(costs: Costs, verdict: Verdict) -> float | None:
    """What answering with this verdict is expected to cost; None where it does not answer.

    A verdict without a belief is certain, as a rule's is.
    """
    if verdict.abstained:
        return None
    if not verdict.belief:
        return 0.0
    return max(expected_cost(costs, outcome, verdict.belief) for outcome in verdict.outcomes)


def group_of(verdict: Verdict) -> str:
    """What the request most probably wants; the next rung's worth depends on it."""
    if not verdict.belief:
        return ABSTAINED
    truth = max(sorted(verdict.belief), key=lambda name: verdict.belief[name])
    return {ANSWER: ANSWER, WRONG_ANSWER: ANSWER, PERSON: PERSON}.get(truth, "action")


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Mean cost after the next rung in each bin of the score; `edges` part them."""

    edges: tuple[float, ...]
    means: tuple[float, ...]
    counts: tuple[int, ...]

    def at(self, score: float) -> float:
        return self.means[bisect.bisect_right(self.edges, score)]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`earlier` gives the answer of a rung that was asked before."""

    action: Literal["answer", "next", "earlier", "person"]
    cost_now: float | None
    cost_next: float | None
    why: str


@dataclass(frozen=True, kw_only=True)
class CostPolicy:
    """`after`: the fitted bins by "rung>next/group"; what it lacks costs the declared prior."""

    costs: Costs
    after: Mapping[str, Bins]

    def cost_of_next(self, verdict: Verdict, following: str) -> float:
        asking = self.costs.of_asking(following)
        if following == PERSON:
            return asking
        bins = self.after.get(key(verdict, following))
        score = cost_now(self.costs, verdict)
        after = self.costs.prior_after(following) if bins is None else bins.at(score or 0.0)
        return asking + after

    def standing(self, verdicts: Sequence[Verdict]) -> int | None:
        """Which of the verdicts answers at the least cost; None where a person costs less."""
        costs = {place: cost_now(self.costs, verdict) for place, verdict in enumerate(verdicts)}
        known = {place: cost for place, cost in costs.items() if cost is not None}
        best = min(known, key=lambda place: known[place], default=None)
        return None if best is None or known[best] > self.costs.of_person() else best

    def choose(
        self,
        verdicts: Sequence[Verdict],
        following: str,
        *,
        in_time: bool = True,
        prospects: Sequence[Verdict] | None = None,
    ) -> Choice:
        """`verdicts` are those of the rungs asked so far, `following` the one that would be next.

        Where it cannot end `in_time`, or none of its `prospects` (all that it could say, where that
        is known) would pay, the choice is between the answers at hand and a person.
        """
        verdict = verdicts[-1]
        if verdict.escalate:
            why = "the rung asks for a person"
            return Choice(action="person", cost_now=None, cost_next=None, why=why)
        now = cost_now(self.costs, verdict)
        person = self.costs.of_person()
        best = self.standing(verdicts)
        at_hand = self._at_hand(verdicts, best)
        against = ""
        if not in_time:
            against = f"{following} would come too late"
        elif not self.may_pay(verdicts, following, prospects):
            against = f"nothing that {following} could say would cost less"
        possible = following != PERSON and not against
        further = self.cost_of_next(verdict, following) if possible else person
        unit = self.costs.currency
        if best is not None and at_hand <= further:
            if best == len(verdicts) - 1:
                why = f"answering costs {at_hand:.2f} {unit}, going on {further:.2f}"
                return Choice(action="answer", cost_now=now, cost_next=further, why=why)
            why = f"the answer of {verdicts[best].rung} stands at {at_hand:.2f} {unit}"
            return Choice(action="earlier", cost_now=now, cost_next=further, why=why)
        stands = "abstained" if now is None else f"answering would cost {now:.2f} {unit}"
        if not possible or person < further:
            besides = f", and {against}" if against else ""
            why = f"{stands}, a person {person:.2f}{besides}"
            return Choice(action="person", cost_now=now, cost_next=person, why=why)
        why = f"{stands}, {following} and what follows {further:.2f}"
        return Choice(action="next", cost_now=now, cost_next=further, why=why)

    def may_pay(
        self, verdicts: Sequence[Verdict], following: str, prospects: Sequence[Verdict] | None
    ) -> bool:
        """Whether asking `following` could leave an answer at less than what is at hand costs;
        true where its `prospects` are not known."""
        if prospects is None:
            return True
        at_hand = self._at_hand(verdicts, self.standing(verdicts))
        costs = [cost for one in prospects if (cost := cost_now(self.costs, one)) is not None]
        return self.costs.of_asking(following) + min(costs, default=at_hand) < at_hand

    def _at_hand(self, verdicts: Sequence[Verdict], best: int | None) -> float:
        """What the answer that stands costs, or a person."""
        if best is None:
            return self.costs.of_person()
        return cost_now(self.costs, verdicts[best]) or 0.0

    def to_json(self) -> dict[str, Any]:
        """Without the costs, which decision.yaml holds."""
        return {
            name: {"edges": bins.edges, "means": bins.means, "counts": bins.counts}
            for name, bins in sorted(self.after.items())
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], costs: Costs) -> "CostPolicy":
        after = {
            name: Bins(
                edges=tuple(bins["edges"]),
                means=tuple(bins["means"]),
                counts=tuple(bins["counts"]),
            )
            for name, bins in content.items()
        }
        return cls(costs=costs, after=after)


def key(verdict: Verdict, following: str) -> str:
    return f"{verdict.rung}>{following}/{group_of(verdict)}"
