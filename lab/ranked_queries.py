"""Queries with their candidates and judgements, and folds in which no answer is known already."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray, TextEmbedder
from lab.folds import normalised
from rankers.features import FEATURES, feature_matrix
from rankers.index import HybridIndex
from rankers.terms import IntArray

Progress = Callable[[str, int, int], None]  # what is being done, done, total

EMBED_AT_ONCE = 256
RUN_DEPTH = 100  # documents of a ranked list that are judged
_BM25, _DENSE = FEATURES.index("bm25"), FEATURES.index("dense")


@dataclass(frozen=True, kw_only=True)
class JudgedQuery:
    id: str
    text: str
    relevance: Mapping[str, int]  # by document; empty where nothing in the corpus answers
    rows: IntArray  # candidates: places in the index
    documents: tuple[str, ...]  # of the candidates
    matrix: FloatArray  # of the candidates

    @property
    def labels(self) -> IntArray:
        """Relevance of each candidate."""
        return np.array([self.relevance.get(name, 0) for name in self.documents], dtype=np.int64)

    def run(self, scores: FloatArray) -> list[str]:
        """Documents by their best candidate; equal scores go by id."""
        order = np.argsort(-scores, kind="stable")
        return list(dict.fromkeys(self.documents[place] for place in order))[:RUN_DEPTH]

    @property
    def bm25_run(self) -> list[str]:
        found = self.matrix[:, _BM25] > 0
        return self.run(np.where(found, self.matrix[:, _BM25], -np.inf))[: int(found.sum())]

    @property
    def dense_run(self) -> list[str]:
        return self.run(self.matrix[:, _DENSE])


def judged_queries(
    index: HybridIndex,
    embedder: TextEmbedder,
    texts: Mapping[str, str],
    relevance: Mapping[str, Mapping[str, int]],
    progress: Progress = lambda step, done, total: None,
) -> list[JudgedQuery]:
    """One for each query of `relevance`, by id."""
    index.require(embedder.fingerprint)
    ids = sorted(relevance)
    judged = []
    for start in range(0, len(ids), EMBED_AT_ONCE):
        batch = ids[start : start + EMBED_AT_ONCE]
        vectors = embedder.encode([texts[name] for name in batch])
        for name, vector in zip(batch, vectors, strict=True):
            found = index.search_vector(texts[name], vector)
            judged.append(
                JudgedQuery(
                    id=name,
                    text=texts[name],
                    relevance={d: r for d, r in sorted(relevance[name].items()) if r > 0},
                    rows=found.rows,
                    documents=tuple(index.chunks[row].document for row in found.rows),
                    matrix=feature_matrix(index, found),
                )
            )
        progress("searching for the queries", len(judged), len(ids))
    return judged


def groups_by_answer(queries: Sequence[JudgedQuery]) -> list[str]:
    """The group of each query: queries that share a relevant document or a text are together.

    SciFact's 809 training queries are 490 groups. Folds that tear a group apart let a ranker learn
    documents by heart: they promised +0.033 nDCG@10 where folds of whole groups found +0.010.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for query in queries:
        mine = f"text\0{normalised(query.text)}"
        for document in query.relevance:
            one, two = sorted((root(mine), root(f"document\0{document}")))
            parent[two] = one
    return [root(f"text\0{normalised(query.text)}") for query in queries]


def folds_of_groups(groups: Sequence[str], folds: int, *, seed: int) -> npt.NDArray[np.intp]:
    """The fold of each row; the largest groups first, each into the fold with the fewest rows.

    Who comes first among equals is settled by a hash, so the order of the rows has no say.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)

    def order(group: str) -> tuple[int, str]:
        content = f"{seed}\0{group}".encode("utf-8", "surrogatepass")
        return -len(members[group]), hashlib.sha256(content).hexdigest()

    fold_of = np.zeros(len(groups), dtype=np.intp)
    sizes = [0] * folds
    for group in sorted(members, key=order):
        fold = sizes.index(min(sizes))
        fold_of[members[group]] = fold
        sizes[fold] += len(members[group])
    return fold_of
