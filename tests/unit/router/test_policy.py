"""The expected-cost policy against brute force, always-LLM and always-person, in money."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contracts import ANSWER, PERSON, WRONG_ANSWER, Verdict
from core.spec.costs import CostEntry, Costs, PersonCost, RungCost
from lab.fit_policy import HeldOutTrace, cost_of_policy, fit_policy
from router.policy import CostPolicy, cheapest_outcome, cost_now, expected_cost

COSTS = Costs(
    currency="EUR",
    error=10,
    wrong_answer=6,
    value_of_time_per_minute=0.01,
    person=PersonCost(price=4, minutes=20, error_rate=0.03),
    rungs={"retrieval": RungCost(milliseconds=30), "llm": RungCost(price=0.02, milliseconds=2000)},
    matrix=(CostEntry(outcome="refund", truth="block", cost=250),),
)


HOPEFUL = {"llm": RungCost(price=0.1, cost_after=0)}


def verdict(rung: str, **belief: float) -> Verdict:
    outcome = "refund" if rung == "classical" else ANSWER
    return Verdict(outcomes=(outcome,), reasons=(), version="1", rung=rung, belief=belief)


def test_expected_cost_weighs_each_truth() -> None:
    belief = {"refund": 0.9, "block": 0.06, ANSWER: 0.04}
    assert expected_cost(COSTS, "refund", belief) == pytest.approx(0.06 * 250 + 0.04 * 10)
    assert expected_cost(COSTS, ANSWER, {ANSWER: 0.8, WRONG_ANSWER: 0.2}) == pytest.approx(1.2)


def test_a_dear_error_outweighs_the_most_probable_outcome() -> None:
    belief = {"refund": 0.9, "block": 0.1}
    assert cheapest_outcome(COSTS, ["refund", "block"], belief) == "block"


def test_a_rule_is_certain_and_an_abstention_costs_nothing_to_weigh() -> None:
    rule = Verdict(outcomes=("block",), reasons=(), version="1")
    assert cost_now(COSTS, rule) == 0
    assert cost_now(COSTS, Verdict(outcomes=(), reasons=(), version="1")) is None
    policy = CostPolicy(costs=COSTS, after={})
    assert policy.choose([rule], "classical").action == "answer"
    asks = Verdict(outcomes=(), reasons=(), version="1", escalate=True)
    assert policy.choose([asks], "classical").action == "person"


def test_without_any_fit_the_declared_prior_decides() -> None:
    policy = CostPolicy(costs=COSTS, after={})
    unsure = verdict("classical", refund=0.5, answer=0.5)
    # The prior after retrieval is a person's cost, and asking adds to it: a person at once.
    assert policy.choose([unsure], "retrieval").action == "person"
    hopeful = COSTS.model_copy(update={"rungs": {"retrieval": RungCost(cost_after=1)}})
    assert CostPolicy(costs=hopeful, after={}).choose([unsure], "retrieval").action == "next"


def simulated(n: int, seed: int) -> list[HeldOutTrace]:
    """Two rungs with two scores each; the second knows more, and errs on its own."""
    generator = np.random.default_rng(seed)
    traces = []
    for _ in range(n):
        sure = generator.random() < 0.5
        p = 0.95 if sure else 0.3
        right = generator.random() < p
        first = verdict("classical", refund=p, answer=1 - p)
        q = 0.9 if generator.random() < 0.6 else 0.2
        second = verdict("llm", **{ANSWER: q, WRONG_ANSWER: 1 - q})
        realised = (
            0.0 if right else COSTS.error,
            0.0 if generator.random() < q else COSTS.wrong_answer,
        )
        traces.append(
            HeldOutTrace(verdicts=(first, second), realised=realised, person=COSTS.of_person())
        )
    return traces


def brute_force(traces: list[HeldOutTrace]) -> float:
    """The least mean cost over every map from what each rung shows to an action."""

    def shows(trace: HeldOutTrace, place: int) -> tuple[tuple[str, float], ...]:
        return tuple(sorted(trace.verdicts[place].belief.items()))

    first = sorted({shows(trace, 0) for trace in traces})
    second = sorted({shows(trace, 1) for trace in traces})
    best = float("inf")
    for a in itertools.product(("answer", "next", "person"), repeat=len(first)):
        for b in itertools.product(("answer", "person"), repeat=len(second)):
            at_first, at_second = (
                dict(zip(first, a, strict=True)),
                dict(zip(second, b, strict=True)),
            )
            total = 0.0
            for trace in traces:
                action = at_first[shows(trace, 0)]
                if action == "next":
                    total += COSTS.of_asking("llm")
                    after = at_second[shows(trace, 1)]
                    total += trace.realised[1] or 0.0 if after == "answer" else trace.person
                else:
                    total += trace.realised[0] or 0.0 if action == "answer" else trace.person
            best = min(best, total / len(traces))
    return best


def test_backward_induction_reaches_brute_force() -> None:
    traces = simulated(4000, seed=3)
    policy = fit_policy(COSTS, traces, prior_weight=0, bins=2, least=1)
    mean = float(np.mean(cost_of_policy(policy, traces)))
    # Beliefs are the true probabilities here, so the two differ by sampling alone.
    assert mean == pytest.approx(brute_force(traces), rel=0.02)


def test_it_costs_less_than_always_a_person_and_always_the_llm_on_unseen_traces() -> None:
    policy = fit_policy(COSTS, simulated(2000, seed=1))
    unseen = simulated(4000, seed=2)
    costs = np.array(cost_of_policy(policy, unseen))
    person = np.array([trace.person for trace in unseen])
    llm = np.array([COSTS.of_asking("llm") + (trace.realised[1] or 0) for trace in unseen])
    for other in (person, llm):
        difference = other - costs
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        assert difference.mean() - 1.96 * error > 0


def test_few_traces_stay_near_the_prior() -> None:
    one = [t for t in simulated(50, seed=5) if t.realised[1] == 0][:1]
    policy = fit_policy(COSTS, one)
    (bins,) = policy.after.values()
    prior = COSTS.prior_after("llm")
    assert 0.85 * prior < bins.means[0] < prior


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_order_of_traces_does_not_matter(seed: int) -> None:
    traces = simulated(60, seed=7)
    shuffled = list(traces)
    np.random.default_rng(seed).shuffle(shuffled)  # type: ignore[arg-type]
    assert fit_policy(COSTS, traces).to_json() == fit_policy(COSTS, shuffled).to_json()


def test_it_survives_json() -> None:
    policy = fit_policy(COSTS, simulated(300, seed=1))
    assert CostPolicy.from_json(policy.to_json(), COSTS) == policy


def test_what_a_belief_leaves_open_counts_as_the_worst() -> None:
    # Half of the truth is unknown, and a refund can be wrong for 250.
    assert expected_cost(COSTS, "refund", {"refund": 0.5}) == pytest.approx(125)
    assert expected_cost(COSTS, ANSWER, {ANSWER: 0.9}) == pytest.approx(1)
    assert expected_cost(COSTS, "refund", {"refund": 1.0}) == 0


def test_an_answer_at_hand_is_better_than_a_person() -> None:
    policy = CostPolicy(costs=COSTS, after={})
    fair = verdict("retrieval", **{ANSWER: 0.5, WRONG_ANSWER: 0.5})  # 3.00, and a person 4.50
    nothing = Verdict(outcomes=(), reasons=("llm_late",), version="1", rung="llm")
    assert policy.choose([fair, nothing], PERSON).action == "earlier"
    assert policy.standing([fair, nothing]) == 0
    assert policy.choose([fair], "llm", in_time=False).action == "answer"
    poor = verdict("retrieval", **{ANSWER: 0.2, WRONG_ANSWER: 0.8})  # 4.80
    assert policy.choose([poor, nothing], PERSON).action == "person"
    late = policy.choose([poor], "llm", in_time=False)
    assert (late.action, "too late" in late.why) == ("person", True)
    asks = Verdict(outcomes=(), reasons=(), version="1", escalate=True)
    assert policy.choose([fair, asks], PERSON).action == "person"


def test_a_rung_is_not_asked_for_what_could_not_be_taken() -> None:
    policy = CostPolicy(costs=COSTS.model_copy(update={"rungs": HOPEFUL}), after={})
    nothing = Verdict(outcomes=(), reasons=(), version="1", rung="retrieval")
    assert policy.choose([nothing], "llm").action == "next"
    poor = verdict("llm", **{ANSWER: 0.2, WRONG_ANSWER: 0.8})  # 4.80, and a person 4.50
    fair = verdict("llm", **{ANSWER: 0.5, WRONG_ANSWER: 0.5})  # 3.00
    assert policy.choose([nothing], "llm", prospects=[poor, fair]).action == "next"
    for hopeless in ([poor], []):
        choice = policy.choose([nothing], "llm", prospects=hopeless)
        assert choice.action == "person"
        assert choice.why == (
            "abstained, a person 4.50, and nothing that llm could say would cost less"
        )
    # What is at hand is as good already, and asking has its price.
    assert policy.choose([fair], "llm", prospects=[fair]).action == "answer"
    better = verdict("llm", **{ANSWER: 0.51, WRONG_ANSWER: 0.49})  # 2.94, and asking 0.10
    assert policy.choose([fair], "llm", prospects=[better]).action == "answer"


def test_a_longer_ladder_ends_with_a_person() -> None:
    poor = verdict("llm", **{ANSWER: 0.1, WRONG_ANSWER: 0.9})
    choice = CostPolicy(costs=COSTS, after={}).choose([poor], PERSON)
    assert choice.action == "person"
    assert choice.cost_next == pytest.approx(COSTS.of_person())
