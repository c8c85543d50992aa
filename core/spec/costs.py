"""What each error, each minute and each rung costs; every threshold follows from these."""

from pydantic import Field, model_validator

from core.contracts import ANSWER, PERSON, WRONG_ANSWER
from core.spec.strict import Name, Strict


class CostEntry(Strict):
    """What it costs to do `outcome` where `truth` was right."""

    outcome: Name
    truth: Name
    cost: float = Field(ge=0)


class PersonCost(Strict):
    """A person has a price, takes time and errs too."""

    price: float = Field(ge=0)
    minutes: float = Field(ge=0)
    error_rate: float = Field(ge=0, le=1)


class RungCost(Strict):
    """What asking a rung is expected to cost, before it was ever measured."""

    price: float = Field(default=0, ge=0)
    milliseconds: float = Field(default=0, ge=0)
    cost_after: float | None = Field(default=None, ge=0)  # the prior; the person's where absent


class Costs(Strict):
    """Money in `currency`. `error` is any wrong outcome that the matrix does not name."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    error: float = Field(gt=0)
    wrong_answer: float = Field(gt=0)
    value_of_time_per_minute: float = Field(default=0, ge=0)
    person: PersonCost
    rungs: dict[Name, RungCost] = Field(default_factory=dict)
    matrix: tuple[CostEntry, ...] = ()

    @model_validator(mode="after")
    def _pairs_are_unique(self) -> "Costs":
        pairs = [(entry.outcome, entry.truth) for entry in self.matrix]
        twice = sorted({pair for pair in pairs if pairs.count(pair) > 1})
        if twice:
            raise ValueError(f"the pair {twice[0]} has two costs; keep one")
        if any(outcome == truth for outcome, truth in pairs):
            raise ValueError("an outcome that was right costs nothing; remove its pair")
        if any(outcome == PERSON for outcome, _ in pairs):
            raise ValueError("what a person's errors cost is person.error_rate; remove the pair")
        return self

    def of(self, outcome: str, truth: str) -> float:
        """C[outcome, truth]: zero where they agree."""
        if outcome == truth:
            return 0.0
        for entry in self.matrix:
            if (entry.outcome, entry.truth) == (outcome, truth):
                return entry.cost
        if (outcome, truth) == (ANSWER, WRONG_ANSWER):
            return self.wrong_answer
        return self.error

    def worst(self, outcome: str) -> float:
        """The dearest error that `outcome` can be."""
        named = [entry.cost for entry in self.matrix if entry.outcome == outcome]
        return max([self.error, *named, *([self.wrong_answer] if outcome == ANSWER else [])])

    def of_person(self) -> float:
        """The expected cost of handing over: price, waiting, and a person's own errors."""
        waiting = self.person.minutes * self.value_of_time_per_minute
        return self.person.price + waiting + self.person.error_rate * self.error

    def of_asking(self, rung: str) -> float:
        """Price and waiting of one more rung."""
        if rung == PERSON:
            return self.of_person()
        cost = self.rungs.get(rung, RungCost())
        return cost.price + cost.milliseconds / 60_000 * self.value_of_time_per_minute

    def prior_after(self, rung: str) -> float:
        """The declared cost after asking `rung`; nobody knows better than a person at first."""
        declared = self.rungs.get(rung, RungCost()).cost_after
        return self.of_person() if declared is None else declared


LONGEST_DEADLINE_MS = 120_000  # who waits longer than two minutes has gone


class Budgets(Strict):
    """`throughput_per_s` is what latency must hold at; prices in the currency of the costs."""

    latency_p95_ms: float = Field(gt=0)
    deadline_ms: float = Field(gt=0, le=LONGEST_DEADLINE_MS)
    throughput_per_s: float = Field(gt=0)
    price_per_decision: float = Field(ge=0)
    price_per_day: float = Field(ge=0)
