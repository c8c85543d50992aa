"""What is predicted about whom, and when it is known; training refuses to run without it."""

from typing import Literal

from pydantic import Field, field_validator

from core.spec.strict import Name, Sentence, Strict

LEAST_WORDS = 4  # "churn" or "customer churn" names a wish; a definition takes a clause


class Kpi(Strict):
    name: Name
    unit: Sentence
    better: Literal["higher", "lower"]


class Framing(Strict):
    """`horizon_days` is how far ahead the target looks, `label_delay_days` when it is known."""

    event: Sentence
    population: Sentence
    target: Sentence
    horizon_days: float = Field(gt=0, le=3650)
    label_delay_days: float = Field(ge=0, le=3650)
    kpi: Kpi
    owner: Sentence

    @field_validator("event", "population", "target")
    @classmethod
    def _says_enough(cls, text: str) -> str:
        if len(text.split()) < LEAST_WORDS:
            raise ValueError(
                f"'{text}' is too vague to train on. Write what is observed, about whom and by "
                "when, such as 'the customer closes the account within 30 days of the message'"
            )
        return text
