"""Fits what the expected-cost policy expects after each rung, by backward induction.

A trace here holds the verdicts of *every* rung of its ladder, as if none had stopped. From the last
rung to the first, the cost of going on is averaged in bins of the score and shrunk to the declared
prior: (Σ cost + w·prior) / (n + w).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.contracts import PERSON, Verdict
from core.spec import Costs
from router.policy import Bins, CostPolicy, cost_now, key

PRIOR_WEIGHT = 10.0  # traces that the declared prior counts for
BINS = 8
LEAST_IN_BIN = 12


@dataclass(frozen=True, kw_only=True)
class HeldOutTrace:
    """`realised` is what answering with each verdict would have cost; None where it abstained.

    `foreseen` is all that a rung could have said, by its name, where that was known before.
    """

    verdicts: tuple[Verdict, ...]  # in the order asked, a person excluded
    realised: tuple[float | None, ...]
    person: float  # what a person would have cost here
    foreseen: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)


def fit_policy(
    costs: Costs,
    traces: Sequence[HeldOutTrace],
    *,
    prior_weight: float = PRIOR_WEIGHT,
    bins: int = BINS,
    least: int = LEAST_IN_BIN,
) -> CostPolicy:
    after: dict[str, Bins] = {}
    policy = CostPolicy(costs=costs, after=after)
    longest = max((len(trace.verdicts) for trace in traces), default=0)
    # to_go[t] is the cost of trace t from the rung after the present one, under the policy so far.
    to_go = [trace.person for trace in traces]
    for place in range(longest - 1, -1, -1):
        here = [i for i, trace in enumerate(traces) if len(trace.verdicts) > place]
        cells: dict[str, list[int]] = defaultdict(list)
        for i in here:
            verdicts = traces[i].verdicts
            if place + 1 < len(verdicts) and _may_go_on(policy, traces[i], place):
                cells[key(verdicts[place], verdicts[place + 1].rung)].append(i)
        for name, members in cells.items():
            scores = [cost_now(costs, traces[i].verdicts[place]) or 0.0 for i in members]
            prior = costs.prior_after(traces[members[0]].verdicts[place + 1].rung)
            following = [to_go[i] for i in members]
            after[name] = _bins(scores, following, prior, prior_weight, bins, least)
        for i in here:
            to_go[i] = _cost_from(policy, traces[i], place, to_go[i])
    return policy


def _may_go_on(policy: CostPolicy, trace: HeldOutTrace, place: int) -> bool:
    """A certain answer ends the ladder, an escalation goes to a person, and a rung that could say
    nothing of use is not asked: what follows these is no part of what usually follows."""
    verdict, following = trace.verdicts[place], trace.verdicts[place + 1].rung
    if verdict.escalate or not (verdict.abstained or verdict.belief):
        return False
    return policy.may_pay(trace.verdicts[: place + 1], following, trace.foreseen.get(following))


def _cost_from(policy: CostPolicy, trace: HeldOutTrace, place: int, beyond: float) -> float:
    verdicts = trace.verdicts[: place + 1]
    last = len(verdicts) == len(trace.verdicts)
    following = PERSON if last else trace.verdicts[place + 1].rung
    prospects = trace.foreseen.get(following)
    action = policy.choose(verdicts, following, prospects=prospects).action
    if action == "next":
        return policy.costs.of_asking(following) + beyond
    given = given_by(policy, verdicts, action)
    return trace.person if given is None else trace.realised[given] or 0.0


def given_by(policy: CostPolicy, verdicts: Sequence[Verdict], action: str) -> int | None:
    """The place of the verdict that is given where the ladder ends so; None for a person."""
    return None if action == "person" else policy.standing(verdicts)


def _bins(
    scores: Sequence[float],
    following: Sequence[float],
    prior: float,
    weight: float,
    most: int,
    least: int,
) -> Bins:
    wanted = max(1, min(most, len(scores) // max(least, 1)))
    cuts = np.quantile(scores, np.linspace(0, 1, wanted + 1)[1:-1])
    edges = tuple(float(edge) for edge in np.unique(cuts))
    places = np.searchsorted(edges, scores, side="right")
    # fsum is exact, so the order of the traces leaves no mark.
    sums = np.array(
        [math.fsum(np.asarray(following)[places == cell]) for cell in range(len(edges) + 1)]
    )
    counts = np.bincount(places, minlength=len(edges) + 1)
    totals = counts + weight
    means = np.where(totals > 0, (sums + weight * prior) / np.maximum(totals, 1e-12), prior)
    return Bins(
        edges=edges,
        means=tuple(float(mean) for mean in means),
        counts=tuple(int(count) for count in counts),
    )


def cost_of_policy(policy: CostPolicy, traces: Sequence[HeldOutTrace]) -> list[float]:
    """What each trace costs when the policy decides, in the order of the traces."""
    result = []
    for trace in traces:
        total = trace.person
        for place in range(len(trace.verdicts) - 1, -1, -1):
            total = _cost_from(policy, trace, place, total)
        result.append(total)
    return result
