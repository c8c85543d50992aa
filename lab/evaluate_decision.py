"""What a ladder answers, how often it is right, and what that costs against simpler ways."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.contracts import PERSON, Verdict
from core.spec import Costs, DecisionSpec
from lab.fit_policy import given_by
from lab.intervals import share
from lab.slicing import slice_masks
from lab.statistics import paired_mean, units_of
from lab.traces import Observed, is_right, realised_cost
from router.policy import CostPolicy

LEAST_IN_SLICE = 30  # a proportion of fewer rows has an interval wider than a third


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Who answered one row, whether rightly (None: a person), and what it cost in all.

    `probability` is what the ladder believed of its answer; None where it was certain.
    `milliseconds` is what its rungs took, without a language model, whose time is its provider's.
    """

    rung: str
    right: bool | None
    cost: float
    done: str = PERSON
    probability: float | None = None
    milliseconds: float = 0.0


def settle(policy: CostPolicy, seen: Observed) -> Settled:
    """As the deployed ladder would, without its deadline."""
    paid = took = 0.0
    for place, verdict in enumerate(seen.verdicts):
        took += verdict.milliseconds if verdict.rung != "llm" else 0.0
        last = place + 1 == len(seen.verdicts)
        following = PERSON if last else seen.verdicts[place + 1].rung
        asked = seen.verdicts[: place + 1]
        action = policy.choose(asked, following, prospects=seen.foreseen.get(following)).action
        if action == "next":
            paid += policy.costs.of_asking(following)
            continue
        given = given_by(policy, asked, action)
        if given is not None:
            answered = _answered(policy.costs, seen, seen.verdicts[given], paid)
            return replace(answered, milliseconds=took)
        break
    handed_over = paid + policy.costs.of_person()
    return Settled(rung=PERSON, right=None, cost=handed_over, milliseconds=took)


def always(costs: Costs, seen: Observed, rung: str) -> Settled:
    """That rung answers whatever it can, and a person the rest."""
    paid = costs.of_asking(rung) if rung in ("classical", "retrieval", "llm") else 0.0
    for verdict in seen.verdicts:
        if verdict.rung == rung and not verdict.abstained and not verdict.escalate:
            return _answered(costs, seen, verdict, paid)
    return Settled(rung=PERSON, right=None, cost=paid + costs.of_person())


def _answered(costs: Costs, seen: Observed, verdict: Verdict, paid: float) -> Settled:
    cost = realised_cost(costs, seen.row, verdict) or 0.0
    right = all(is_right(seen.row, outcome, verdict) for outcome in verdict.outcomes)
    return Settled(
        rung=verdict.rung,
        right=right,
        cost=paid + cost,
        done=verdict.outcomes[0],
        probability=verdict.belief.get(verdict.outcomes[0]),
    )


def evaluate_observed(
    spec: DecisionSpec, policy: CostPolicy, seen: Sequence[Observed], *, seed: int = 0
) -> dict[str, Any]:
    """Money per decision with its interval, share and accuracy per rung, slices, and baselines.

    Costs are in the currency of the costs. Intervals are 95 %: of money clustered by the entity,
    of accuracies Wilson's over the rows, which also says something where none is wrong.
    """
    settled = [settle(policy, one) for one in seen]
    clusters = clusters_of(spec, seen)

    def mean(values: Sequence[float]) -> dict[str, Any]:
        return paired_mean(np.array(values), clusters, seed=seed).model_dump()

    report: dict[str, Any] = {
        "currency": spec.costs.currency,
        "cost_per_decision": mean([s.cost for s in settled]),
        "rungs": {
            rung: _share([s for s in settled if s.rung == rung], len(settled))
            for rung in ("rules", "classical", "retrieval", "llm", PERSON)
        },
        "accuracy": _accuracy([s for s in settled if s.right is not None]),
        "saved_against": {},
        "slices": _slices(spec, seen, settled),
    }
    for rung in ("rules", "classical", "llm", PERSON):
        others = [always(policy.costs, one, rung) for one in seen]
        saved = [other.cost - own.cost for other, own in zip(others, settled, strict=True)]
        report["saved_against"][f"always_{rung}"] = mean(saved)
    return report


def clusters_of(spec: DecisionSpec, seen: Sequence[Observed]) -> list[str]:
    """Whose each row is."""
    entity = spec.request.entity
    if entity is None:
        return [str(number) for number in range(len(seen))]
    return units_of(one.row.facts[entity] for one in seen)


def _share(settled: Sequence[Settled], n: int) -> dict[str, Any]:
    judged = [s for s in settled if s.right is not None]
    return {"n": len(settled), "share": len(settled) / n, "accuracy": _accuracy(judged)}


def _accuracy(judged: Sequence[Settled]) -> dict[str, Any] | None:
    """With Wilson's interval."""
    return share([bool(s.right) for s in judged]) if judged else None


def columns_of(seen: Sequence[Observed]) -> dict[str, list[Any]]:
    """The facts of the rows by field, and their detected `language`."""
    columns: dict[str, list[Any]] = {
        name: [one.row.facts[name] for one in seen] for name in seen[0].row.facts
    }
    return {**columns, "language": [one.known.language for one in seen]}


def _slices(
    spec: DecisionSpec, seen: Sequence[Observed], settled: Sequence[Settled]
) -> dict[str, dict[str, dict[str, Any]]]:
    told: dict[str, dict[str, dict[str, Any]]] = {part.name: {} for part in spec.slice_specs}
    for part in slice_masks(spec, columns_of(seen)):
        if part.name not in told:
            continue  # the thirds of time, which the evaluation shows in money
        members = [settled[int(row)] for row in np.flatnonzero(part.mask)]
        told[part.name][part.value] = {
            "n": len(members),
            "accuracy": _accuracy([s for s in members if s.right is not None]),
            "enough": len(members) >= LEAST_IN_SLICE,
        }
    return told
