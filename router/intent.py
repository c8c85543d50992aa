"""Which intent a text has, if any: a cheap model first, the embedding where that one is unsure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from core.calibration import FloatArray, softmax, temper
from core.embedding import TextEmbedder
from core.errors import InvalidSettings
from router.linear import LinearClassifier, TermSpace, TextClassifier
from router.scope import Neighbours, ScopeModel, cheap_features, full_features, split_other

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """What was chosen on training folds: the mix, when to stop early, and the temperatures.

    The gate has a temperature of its own, because those of the two answers are of the texts that
    the gate sends to each.
    """

    gate_temperature: float
    stop_at: float  # the cheap model answers alone from this gate probability on
    mix_weight: float  # of the embedding's probabilities, 0 to 1
    cheap_temperature: float
    mix_temperature: float

    def gate(self, cheap: FloatArray) -> FloatArray:
        return temper(cheap, self.gate_temperature)

    def cheap(self, cheap: FloatArray) -> FloatArray:
        return temper(cheap, self.cheap_temperature)

    def mix(self, cheap: FloatArray, embedded: FloatArray) -> FloatArray:
        return (1 - self.mix_weight) * cheap + self.mix_weight * embedded

    def mixed(self, cheap: FloatArray, embedded: FloatArray) -> FloatArray:
        return temper(self.mix(cheap, embedded), self.mix_temperature)


@dataclass(frozen=True, kw_only=True)
class IntentPrediction:
    """`probabilities` are of the intents given that the text has one.

    `out_of_scope` is the probability that it has none: estimated where training had such texts,
    and else the most that the text's strangeness can say (see `lab.fit_calibration`).
    """

    probabilities: FloatArray  # (n, intents), rows sum to 1
    embedded: npt.NDArray[np.bool_]  # (n,), which requests needed the embedding
    out_of_scope: FloatArray  # (n,)
    abstains: npt.NDArray[np.bool_]  # (n,), taken for out of scope


@dataclass(frozen=True, kw_only=True)
class IntentModel:
    """The classifiers' columns are the intents, and one more where training had outsiders."""

    intents: tuple[str, ...]
    cheap: TextClassifier
    embedded: LinearClassifier
    embedder: TextEmbedder
    cascade: Cascade
    scope: ScopeModel
    neighbours: Neighbours

    def predict(self, texts: Sequence[str]) -> IntentPrediction:
        """Calibrated probabilities of every intent for each text, in the order of `intents`."""
        logits, other = split_other(self.cheap.of_texts(texts), len(self.intents))
        raw = softmax(logits)
        gate = self.cascade.gate(raw)
        probabilities = self.cascade.cheap(raw)
        outside = self.scope.cheap.probability(cheap_features(gate, other))
        unsure = gate.max(axis=1, initial=0) < self.cascade.stop_at
        unsure |= outside >= self.scope.look_again_at
        abstains = np.zeros(len(texts), dtype=np.bool_)
        if unsure.any():
            asked = [text for text, needed in zip(texts, unsure, strict=True) if needed]
            vectors = self.embedder.encode(asked)
            second, second_other = split_other(self.embedded.of_vectors(vectors), len(self.intents))
            mixed = self.cascade.mixed(raw[unsure], softmax(second))
            nearest = self.neighbours.nearest(vectors)
            features = full_features(mixed, other[unsure], second_other, nearest)
            probabilities[unsure] = mixed
            outside[unsure] = self.scope.full.probability(features)
            abstains[unsure] = outside[unsure] >= self.scope.abstain_at
        return IntentPrediction(
            probabilities=probabilities, embedded=unsure, out_of_scope=outside, abstains=abstains
        )

    def to_files(self) -> dict[str, bytes]:
        spaces = self.cheap.spaces
        told = {
            "format": FORMAT,
            "intents": list(self.intents),
            "embedder": self.embedder.fingerprint,
            "cascade": asdict(self.cascade),
            "scope": self.scope.to_json(),
            "spaces": [{"of": space.of, "lengths": list(space.lengths)} for space in spaces],
        }
        arrays: dict[str, Any] = {
            "cheap.weights": self.cheap.linear.weights,
            "cheap.bias": self.cheap.linear.bias,
            "embedded.weights": self.embedded.weights,
            "embedded.bias": self.embedded.bias,
            "neighbours.inside": self.neighbours.inside,
            "neighbours.outside": self.neighbours.outside,
            **{f"spaces.{place}.idf": space.idf for place, space in enumerate(spaces)},
        }
        return {
            "intent.json": _json(told),
            "terms.json": _json([list(space.terms) for space in spaces]),
            "intent.safetensors": save_arrays(
                {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
            ),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], embedder: TextEmbedder) -> "IntentModel":
        """Raises InvalidSettings where the model was fitted on another embedder's vectors."""
        told = json.loads(files["intent.json"])
        if told["format"] != FORMAT:
            raise ValueError(f"an intent model of format {told['format']}, where {FORMAT} is read")
        if told["embedder"] != embedder.fingerprint:
            raise InvalidSettings(
                "RUNG-EMBEDDER-MISMATCH",
                f"the intent model reads vectors of {told['embedder']}, and the embedder here is "
                f"{embedder.fingerprint}",
                way_out="Configure that embedder, or train again with this one.",
            )
        arrays = cast(dict[str, Any], load_arrays(files["intent.safetensors"]))
        spaces = tuple(
            TermSpace(
                of=space["of"],
                lengths=tuple(space["lengths"]),
                terms=tuple(terms),
                idf=arrays[f"spaces.{place}.idf"],
            )
            for place, (space, terms) in enumerate(
                zip(told["spaces"], json.loads(files["terms.json"]), strict=True)
            )
        )
        linear = LinearClassifier(weights=arrays["cheap.weights"], bias=arrays["cheap.bias"])
        return cls(
            intents=tuple(told["intents"]),
            cheap=TextClassifier(spaces=spaces, linear=linear),
            embedded=LinearClassifier(
                weights=arrays["embedded.weights"], bias=arrays["embedded.bias"]
            ),
            embedder=embedder,
            cascade=Cascade(**told["cascade"]),
            scope=ScopeModel.from_json(told["scope"]),
            neighbours=Neighbours(
                inside=arrays["neighbours.inside"], outside=arrays["neighbours.outside"]
            ),
        )


def _json(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
