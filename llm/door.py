"""What the other rooms see of language models: three tasks, and a result that never raises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from core.contracts import Answer, Json, Passage
from core.money import FREE, Micros

T = TypeVar("T")

Reason = Literal[
    "llm_not_configured",  # no model is set, and the task cannot be done without one
    "llm_no_passages",  # nothing was retrieved to answer from
    "llm_no_match",  # extractive: no sentence shares a telling word with the question
    "llm_too_long",  # the text does not fit the prompt
    "llm_late",  # the deadline or the time limit of a call passed
    "llm_unreachable",  # no connection, or it broke before the answer was whole
    "llm_busy",  # 429, 503 or 529
    "llm_failing",  # another 5xx, or a body that is no completion
    "llm_refused",  # another 4xx: key, model name or request not accepted
    "llm_paused",  # the circuit breaker is open
    "llm_over_budget",  # the day's budget would be passed
    "llm_budget_unknown",  # the budget ledger itself failed: closed for money
    "llm_price_unknown",  # neither configured nor in litellm's price list: closed for money
    "llm_invalid_output",  # not the JSON that was asked for, or outside what is admitted
    "llm_ungrounded",  # cites nothing, or says a link or number that no cited passage has
    "llm_declined",  # the model found that the passages, outcomes or fields do not fit
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    prompt: int = 0
    completion: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            prompt=self.prompt + other.prompt, completion=self.completion + other.completion
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One call, or why there was none. `reason` is None where its output was taken."""

    model: str  # as configured
    reason: Reason | None
    answered_by: str | None = None  # as the provider reports it
    price: Micros = FREE
    tokens: Tokens = Tokens()
    milliseconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageResult(Generic[T]):
    """What came of one task. `value` is None exactly where the door abstains, for `reason`.

    `price` counts every attempt. A call that may have been charged without our seeing the bill, a
    connection cut in the middle, counts with its upper estimate.
    """

    value: T | None
    reason: Reason | None
    prompt: str  # name and digest of the instructions, or of the extractive method
    model: str | None = None  # the one that really answered
    attempts: tuple[Attempt, ...] = ()
    raw: str | None = None  # the model's own words, kept for replay
    milliseconds: float = 0.0

    @property
    def abstained(self) -> bool:
        return self.value is None

    @property
    def price(self) -> Micros:
        return Micros(sum(attempt.price for attempt in self.attempts))

    @property
    def tokens(self) -> Tokens:
        return sum((attempt.tokens for attempt in self.attempts), Tokens())


class LanguageDoor(Protocol):
    """`deadline_s` is the time left for the request; what is not done by then is an abstention."""

    async def warm_up(self) -> None:
        """Load what the first call would have to wait for, some seconds with a model."""
        ...

    async def aclose(self) -> None:
        """Wait until the budget ledger knows what was spent. The door can be used again."""
        ...

    async def answer(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[Answer]:
        """A text that rests on the passages, best first, and cites their documents."""
        ...

    async def extract(
        self,
        text: str,
        schema: Mapping[str, Any],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[dict[str, Json]]:
        """An object that `schema` (JSON Schema 2020-12) admits, read out of the text.

        Raises InvalidDocument where the schema itself is wrong.
        """
        ...

    async def classify(
        self,
        text: str,
        outcomes: Mapping[str, str],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[str]:
        """One of `outcomes`, a name and what it means each; never anything else."""
        ...
