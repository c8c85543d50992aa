"""A VectorCache in a dictionary, which can die after so many batches as a killed process would."""

from collections.abc import Mapping, Sequence

from core.embedding import FloatArray


class Killed(Exception):
    pass


class MemoryVectors:
    def __init__(self, *, batches: int | None = None) -> None:
        self.kept: dict[tuple[str, str], FloatArray] = {}
        self.batches = batches

    def known(self, fingerprint: str, digests: Sequence[str]) -> Mapping[str, FloatArray]:
        return {d: self.kept[fingerprint, d] for d in digests if (fingerprint, d) in self.kept}

    def keep(self, fingerprint: str, vectors: Mapping[str, FloatArray]) -> None:
        if self.batches == 0:
            raise Killed
        if self.batches is not None:
            self.batches -= 1
        for digest, vector in vectors.items():
            self.kept.setdefault((fingerprint, digest), vector)
