"""How probably an answer made from retrieved passages is right, before anyone has judged it.

P = logistic(b + w0·logit(quality of its best passage) + w1·(citations - 1)), fitted in lab on the
keyless extractive answers. For a configured model it is a guess: none of its own is judged.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.contracts import Answer


def features(quality: float, answer: Answer) -> tuple[float, float]:
    """What the support is judged by: logit of the quality, citations beyond the first."""
    clipped = min(max(quality, 1e-6), 1 - 1e-6)
    return math.log(clipped / (1 - clipped)), float(len(answer.citations) - 1)


@dataclass(frozen=True, kw_only=True)
class SupportModel:
    bias: float = 0.0
    of_quality: float = 1.0
    of_citations: float = 0.0
    of_classification: float = 0.5  # unknown: the keyless door, which training asks, never chooses

    def probability(self, quality: float, answer: Answer) -> float:
        logit, further = features(quality, answer)
        score = self.bias + self.of_quality * logit + self.of_citations * further
        return 1 / (1 + math.exp(-max(min(score, 30.0), -30.0)))

    def to_files(self) -> dict[str, bytes]:
        return {"support.json": json.dumps(self.__dict__, sort_keys=True).encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "SupportModel":
        return cls(**json.loads(files["support.json"]))
