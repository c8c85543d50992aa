"""Which intent a text has: a cheap model first, the embedding only where that one is unsure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray, TextEmbedder


class Classifier(Protocol):
    """A fitted scikit-learn classifier."""

    def predict_proba(self, rows: Any) -> FloatArray: ...


def temper(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Temperature scaling (Guo et al. 2017): softmax of log p / T, row by row."""
    logits = np.log(np.clip(probabilities, 1e-12, 1.0)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    tempered: FloatArray = scaled / scaled.sum(axis=1, keepdims=True)
    return tempered


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """What was chosen on training folds: two temperatures, the mix, and when to stop early."""

    cheap_temperature: float
    mix_weight: float  # of the embedding's probabilities, 0 to 1
    mix_temperature: float
    stop_at: float  # the cheap model answers alone from this probability on

    def cheap(self, cheap: FloatArray) -> FloatArray:
        return temper(cheap, self.cheap_temperature)

    def mixed(self, cheap: FloatArray, embedded: FloatArray) -> FloatArray:
        mix = (1 - self.mix_weight) * cheap + self.mix_weight * embedded
        return temper(mix, self.mix_temperature)


@dataclass(frozen=True, kw_only=True)
class IntentPrediction:
    probabilities: FloatArray  # (n, intents), rows sum to 1
    embedded: npt.NDArray[np.bool_]  # (n,), which requests needed the embedding


@dataclass(frozen=True, kw_only=True)
class IntentModel:
    intents: tuple[str, ...]
    cheap: Classifier  # over texts
    embedded: Classifier  # over vectors
    embedder: TextEmbedder
    cascade: Cascade

    def predict(self, texts: Sequence[str]) -> IntentPrediction:
        """Calibrated probabilities of every intent for each text, in the order of `intents`."""
        raw = self.cheap.predict_proba(list(texts))
        probabilities = self.cascade.cheap(raw)
        unsure = probabilities.max(axis=1) < self.cascade.stop_at
        if unsure.any():
            vectors = self.embedder.encode([t for t, u in zip(texts, unsure, strict=True) if u])
            second = self.embedded.predict_proba(vectors)
            probabilities[unsure] = self.cascade.mixed(raw[unsure], second)
        return IntentPrediction(probabilities=probabilities, embedded=unsure)
