"""Fits the learned ranker; it goes live only where it beats the hybrid on answers it never saw."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from core.embedding import FloatArray, TextEmbedder
from lab.intervals import Bootstrap
from lab.ranked_queries import (
    JudgedQuery,
    Progress,
    folds_of_groups,
    groups_by_answer,
    judged_queries,
)
from lab.ranking_metrics import figures_by_query
from rankers.features import FEATURES
from rankers.index import HybridIndex
from rankers.ranker import HybridRanker, LambdaRanker, Ranker, mean_score

FOLDS = 5
LEAST_QUERIES = 40  # with an answer among their candidates; below, a fold holds next to nothing
METRIC = "ndcg@10"
SEEDS = 3  # boosters that are averaged
TRAINING_DEPTH = 30  # of either search; what lies deeper is irrelevant almost by construction
WEIGHTS = tuple(round(0.3 + 0.05 * step, 2) for step in range(9))

# A candidate that matches better is never ranked lower for it; length and title may go either way.
_DIRECTIONS = {
    "bm25": 1,
    "bm25_scaled": 1,
    "bm25_rank": -1,
    "bm25_reciprocal_rank": 1,
    "dense": 1,
    "dense_scaled": 1,
    "dense_rank": -1,
    "dense_reciprocal_rank": 1,
    "fused": 1,
    "overlap": 1,
    "coverage": 1,
    "pair_overlap": 1,
    "neighbour_cosine": 1,
}

_BM25_RANK, _DENSE_RANK = FEATURES.index("bm25_rank"), FEATURES.index("dense_rank")


@dataclass(frozen=True, kw_only=True, order=True)
class Growth:
    """How far the trees may grow."""

    leaves: int
    least_in_leaf: int
    rounds: int


SHAPES = ((7, 50), (15, 200))
ROUNDS = (50, 100, 150)
GRID = tuple(
    Growth(leaves=leaves, least_in_leaf=least, rounds=rounds)
    for leaves, least in SHAPES
    for rounds in ROUNDS
)


@dataclass(frozen=True, kw_only=True)
class FittedRanker:
    """`held_out` are the chosen ranker's scores for the candidates of each of `queries`, by models
    that had not seen its answers. `groups` says which queries were kept together."""

    ranker: Ranker
    hybrid: HybridRanker
    learned: LambdaRanker | None
    queries: tuple[JudgedQuery, ...]
    held_out: tuple[FloatArray, ...]
    groups: tuple[str, ...]
    report: Mapping[str, Any]


def fit_ranker(
    index: HybridIndex,
    embedder: TextEmbedder,
    queries: Iterable[tuple[str, str]],
    relevant: Mapping[str, Iterable[str]],
    *,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> FittedRanker:
    """`relevant` names the documents that answer each query; none where nothing does.

    The learned ranker is chosen where the 95 % interval of its uplift over the hybrid, paired by
    query on held-out folds, lies above zero.
    """
    texts = dict(queries)
    relevance = {name: {d: 1 for d in relevant.get(name, ())} for name in texts}
    judged = judged_queries(index, embedder, texts, relevance, progress)
    return fit_on_judged(judged, seed=seed, progress=progress)


def fit_on_judged(
    judged: Sequence[JudgedQuery],
    valid: Sequence[JudgedQuery] = (),
    *,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> FittedRanker:
    """Chooses on `valid` where it is given, and on folds of `judged` otherwise."""
    training = sorted(judged, key=lambda query: query.id)
    queries = sorted(valid or judged, key=lambda query: query.id)
    groups = groups_by_answer(queries)
    fold_of = folds_of_groups(groups, FOLDS, seed=seed)
    report: dict[str, Any] = {
        "n_queries": sum(bool(query.relevance) for query in queries),
        "n_without_answer": sum(not query.relevance for query in queries),
        "folds": {"n": FOLDS, "groups": len(set(groups))},
        "metric": METRIC,
    }
    fitted = [query for query in training if query.labels.any()]
    # A fold needs others to learn from: with one group, all answers are known to every fold.
    if len(fitted) < LEAST_QUERIES or len(set(fold_of)) < FOLDS:
        return _unlearned(queries, groups, len(fitted), report)
    fused = _Options.of(queries, [HybridRanker(weight=weight).score for weight in WEIGHTS])
    grown = _grown_options(training, queries, fold_of, bool(valid), seed, progress)
    weight, growth = WEIGHTS[fused.best(smooth=True)], GRID[grown.best()]
    progress("fitting the ranker on all queries", 0, 1)
    hybrid = HybridRanker(weight=weight)
    learned = LambdaRanker.of(_train(fitted, growth, seed=seed))
    progress("fitting the ranker on all queries", 1, 1)
    hybrid_scores = fused.elsewhere(fold_of, smooth=True)
    learned_scores = grown.elsewhere(fold_of)
    figures = {
        "hybrid": _values(queries, hybrid_scores),
        "learned": _values(queries, learned_scores),
    }
    uplift = paired_uplift(figures["learned"], figures["hybrid"], seed=seed)
    promoted = uplift["ci_low"] > 0
    ranker: Ranker = learned if promoted else hybrid
    report |= {
        "promoted": ranker.name,
        "held_out": {name: float(np.nanmean(values)) for name, values in figures.items()},
        "uplift": uplift,
        "chosen": {
            "fusion_weight": weight,
            "num_leaves": growth.leaves,
            "min_data_in_leaf": growth.least_in_leaf,
            "rounds": growth.rounds,
            "boosters": SEEDS,
            "features": list(FEATURES),
        },
    }
    return FittedRanker(
        ranker=ranker,
        hybrid=hybrid,
        learned=learned,
        queries=tuple(queries),
        held_out=tuple(learned_scores if promoted else hybrid_scores),
        groups=tuple(groups),
        report=report,
    )


def _unlearned(
    queries: Sequence[JudgedQuery], groups: Sequence[str], fitted: int, report: dict[str, Any]
) -> FittedRanker:
    hybrid = HybridRanker()
    why = f"{fitted} queries with an answer are too few, or too alike, to learn from"
    chosen = {"fusion_weight": hybrid.weight}
    return FittedRanker(
        ranker=hybrid,
        hybrid=hybrid,
        learned=None,
        queries=tuple(queries),
        held_out=tuple(hybrid.score(query.matrix) for query in queries),
        groups=tuple(groups),
        report={**report, "promoted": hybrid.name, "why": why, "chosen": chosen},
    )


def paired_uplift(ours: FloatArray, theirs: FloatArray, *, seed: int) -> dict[str, Any]:
    """Mean difference by query, its 95 % bootstrap interval, and n; NaN is no query."""
    difference = (ours - theirs)[~np.isnan(ours)]
    told = Bootstrap(rows=len(difference), seed=seed).told(lambda rows: difference[rows].mean())
    return {
        "metric": METRIC,
        "diff": told["mean"],
        "ci_low": told["ci_low"],
        "ci_high": told["ci_high"],
        "n": len(difference),
    }


@dataclass(frozen=True, kw_only=True)
class _Options:
    """Scores and figures of each option on every query, none of which the option was fitted on."""

    scores: Sequence[Sequence[FloatArray]]  # by option, by query
    values: FloatArray  # (options, queries); NaN for a query without an answer

    @classmethod
    def of(
        cls, queries: Sequence[JudgedQuery], score: Sequence[Callable[[FloatArray], FloatArray]]
    ) -> "_Options":
        return cls.judged(queries, [[f(query.matrix) for query in queries] for f in score])

    @classmethod
    def judged(
        cls, queries: Sequence[JudgedQuery], scores: Sequence[Sequence[FloatArray]]
    ) -> "_Options":
        return cls(scores=scores, values=np.stack([_values(queries, s) for s in scores]))

    def best(self, rows: Any = slice(None), *, smooth: bool = False) -> int:
        """By mean figure over `rows`; `smooth` where neighbouring options are like one another."""
        means = np.nanmean(self.values[:, rows], axis=1)
        if smooth:
            padded = np.pad(means, 1, mode="edge")
            means = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
        return int(means.argmax())

    def elsewhere(self, fold_of: npt.NDArray[np.intp], *, smooth: bool = False) -> list[FloatArray]:
        """Each query's scores by the option that is best on the other folds.

        The figures of an option chosen on the very queries that it is judged on are too good; this
        takes most of that off and needs no further fit.
        """
        best = {f: self.best(fold_of != f, smooth=smooth) for f in set(fold_of.tolist())}
        return [self.scores[best[int(fold)]][row] for row, fold in enumerate(fold_of)]


def _grown_options(
    training: Sequence[JudgedQuery],
    queries: Sequence[JudgedQuery],
    fold_of: npt.NDArray[np.intp],
    apart: bool,
    seed: int,
    progress: Progress,
) -> _Options:
    """`apart`: the queries are none of the training queries, so one fit serves all folds."""
    step = "choosing the ranker on folds"
    scores: list[list[FloatArray]] = [[np.zeros(0)] * len(queries) for _ in GRID]

    def grow(fold: int, shape: tuple[int, int]) -> None:
        """Fills the scores of this shape's options for the queries of this fold."""
        kept = [
            query
            for place, query in enumerate(training)
            if query.labels.any() and (apart or fold_of[place] != fold)
        ]
        leaves, least = shape
        growth = Growth(leaves=leaves, least_in_leaf=least, rounds=max(ROUNDS))
        boosters = _train(kept, growth, seed=seed)
        rows = [row for row in range(len(queries)) if apart or fold_of[row] == fold]
        matrix = np.concatenate([queries[row].matrix for row in rows])
        ends = np.cumsum([len(queries[row].matrix) for row in rows])
        for option, grown in enumerate(GRID):
            if (grown.leaves, grown.least_in_leaf) == shape:
                flat = mean_score(boosters, matrix, rounds=grown.rounds)
                for row, part in zip(rows, np.split(flat, ends[:-1]), strict=True):
                    scores[option][row] = part

    fits = [(fold, shape) for fold in ([0] if apart else range(FOLDS)) for shape in SHAPES]
    progress(step, 0, len(fits))
    # Side by side, since each fit keeps to one thread of its own.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        running = [pool.submit(grow, *fit) for fit in fits]
        for done, fitted in enumerate(as_completed(running), start=1):
            fitted.result()
            progress(step, done, len(fits))
    return _Options.judged(queries, scores)


def _train(queries: Sequence[JudgedQuery], growth: Growth, *, seed: int) -> list[lgb.Booster]:
    rows, labels, sizes = [], [], []
    for query in queries:
        near = (query.matrix[:, _BM25_RANK] <= TRAINING_DEPTH) | (
            query.matrix[:, _DENSE_RANK] <= TRAINING_DEPTH
        )
        rows.append(query.matrix[near])
        labels.append(query.labels[near])
        sizes.append(int(near.sum()))
    label = np.concatenate(labels)
    parameters = {
        "objective": "lambdarank",
        "learning_rate": 0.05,
        "num_leaves": growth.leaves,
        "min_data_in_leaf": growth.least_in_leaf,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.7,
        "monotone_constraints": [_DIRECTIONS.get(name, 0) for name in FEATURES],
        "label_gain": list(range(int(label.max()) + 1)) if label.any() else [0, 1],
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # the sums of a histogram depend on how they are shared out
        "verbose": -1,
    }
    data = lgb.Dataset(
        np.concatenate(rows), label, group=sizes, feature_name=list(FEATURES), params=parameters
    )
    seeds = range(SEEDS * seed, SEEDS * (seed + 1))
    return [lgb.train({**parameters, "seed": own}, data, growth.rounds) for own in seeds]


def _values(queries: Sequence[JudgedQuery], scores: Sequence[FloatArray]) -> FloatArray:
    """METRIC of each query, NaN where nothing answers it."""
    answered = {query.id: query.relevance for query in queries if query.relevance}
    runs = {q.id: q.run(s) for q, s in zip(queries, scores, strict=True) if q.relevance}
    found = dict(zip(answered, figures_by_query(runs, answered, [METRIC])[METRIC], strict=True))
    return np.array([found.get(query.id, np.nan) for query in queries])
