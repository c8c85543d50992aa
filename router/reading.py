"""What is known of a request before any rung is asked: its language, and its features once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.contracts import Passage, Request
from core.features import Matrix, compute, digest
from core.spec import DecisionSpec
from router.language import UNDETERMINED, LanguageDetector


@dataclass(kw_only=True)
class Known:
    """What reading and the rungs asked so far found out about one request."""

    language: str = UNDETERMINED
    features: Matrix = field(default_factory=lambda: np.empty(0))  # one row, for the risk model
    features_digest: str = ""
    belief: Mapping[str, float] = field(default_factory=dict)
    handler: str | None = None
    evidence: tuple[Passage, ...] = ()
    quality_any: float | None = None


class Reader:
    """Some 0.1 ms: a trace holds language and features even where a rule answers."""

    def __init__(self, spec: DecisionSpec, languages: LanguageDetector) -> None:
        self._request = spec.request
        self._features = spec.risk.features if spec.risk else {}
        self._categories: Mapping[str, Sequence[str]] = {
            name: field.values for name, field in spec.request.fields.items()
        }
        self._languages = languages

    def read(self, request: Request) -> Known:
        text = self._request.text_of(request.facts)
        row: Matrix = compute(self._features, [request.facts], self._categories)[0]
        return Known(
            language=self._languages.detect(text).code,
            features=row,
            features_digest=digest([*self._features, text], row),
        )
