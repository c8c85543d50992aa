"""What would change for whoever asks, if another index answered: told before it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.embedding import FloatArray
from core.errors import InvalidRequest
from rankers.features import feature_matrix
from rankers.index import HybridIndex
from rankers.ranker import HybridRanker, Ranker, rank
from rankers.shares import Share, share

K = 10
MOST_TOLD = 20  # of the probes whose first document is another: enough for a person to read


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One text and its vector in each index's own space."""

    text: str
    old: FloatArray
    new: FloatArray


@dataclass(frozen=True, kw_only=True)
class IndexComparison:
    """Overlaps are of the first K documents, by probe; each has its n and interval."""

    old: str  # identities
    new: str
    same_space: bool  # one embedder made both
    overlap: Share  # of documents as they would be ranked
    overlap_by_meaning: Share  # of the search by vectors alone, which words cannot hide
    same_first: Share  # probes whose first document is the same
    changed_first: tuple[int, ...]  # places of the first such probes: a probe's text stays outside
    documents_added: int
    documents_removed: int

    def told(self) -> dict[str, Any]:
        return {
            "old": self.old,
            "new": self.new,
            "same_space": self.same_space,
            f"overlap_at_{K}": self.overlap.told(),
            f"overlap_by_meaning_at_{K}": self.overlap_by_meaning.told(),
            "same_first": self.same_first.told(),
            "changed_first": list(self.changed_first),
            "documents_added": self.documents_added,
            "documents_removed": self.documents_removed,
        }


def compare_indexes(
    old: HybridIndex,
    new: HybridIndex,
    probes: Sequence[Probe],
    *,
    ranker: Ranker | None = None,
) -> IndexComparison:
    """`ranker` orders both; without one the untrained fusion does, which no index is fitted to.

    Raises InvalidRequest where there is nothing to compare by.
    """
    _require_probes(old, new, probes)
    ranker = ranker or HybridRanker()
    before = [_documents(old, probe.text, probe.old, ranker) for probe in probes]
    after = [_documents(new, probe.text, probe.new, ranker) for probe in probes]
    pairs = list(zip(before, after, strict=True))
    same_first = [one.ranked[:1] == two.ranked[:1] for one, two in pairs]
    held, holds = ({chunk.document for chunk in index.chunks} for index in (old, new))
    return IndexComparison(
        old=old.identity,
        new=new.identity,
        same_space=old.fingerprint == new.fingerprint,
        overlap=share([_overlap(one.ranked, two.ranked) for one, two in pairs]),
        overlap_by_meaning=share([_overlap(one.near, two.near) for one, two in pairs]),
        same_first=share(same_first),
        changed_first=tuple(n for n, same in enumerate(same_first) if not same)[:MOST_TOLD],
        documents_added=len(holds - held),
        documents_removed=len(held - holds),
    )


@dataclass(frozen=True, kw_only=True)
class _Documents:
    ranked: list[str]  # the first K by the ranker
    near: list[str]  # by cosine alone


def _documents(index: HybridIndex, text: str, vector: FloatArray, ranker: Ranker) -> _Documents:
    found = index.search_vector(text, vector)
    matrix = feature_matrix(index, found)

    def by(scores: FloatArray) -> list[str]:
        rows = rank(index, found.rows, scores, matrix).rows[:K]
        return [index.chunks[row].document for row in rows]

    return _Documents(ranked=by(ranker.score(matrix)), near=by(found.dense))


def _overlap(one: Sequence[str], two: Sequence[str]) -> float:
    """Of the longer list, so that a corpus of fewer documents does not look alike."""
    return len(set(one) & set(two)) / max(len(one), len(two))


def _require_probes(old: HybridIndex, new: HybridIndex, probes: Sequence[Probe]) -> None:
    sizes = old.vectors.shape[1:], new.vectors.shape[1:]
    wrong = [n for n, probe in enumerate(probes) if (probe.old.shape, probe.new.shape) != sizes]
    if wrong or not probes:
        why = f"the vectors of probe {wrong[0]} do not fit" if wrong else "there is no text"
        raise InvalidRequest(
            "RUNG-INDEX-PROBES",
            f"two indexes are compared by what was asked, and {why}",
            way_out="Name a text or more, each with its vector by either index's embedder.",
        )
