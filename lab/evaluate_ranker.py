"""Figures of four ways to rank on test queries that are scored once, by rankers already chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.embedding import FloatArray, TextEmbedder
from core.errors import InvalidDocument
from lab.beir import BeirCollection, Qrels, read_beir
from lab.evaluation import Evaluation, SplitReport
from lab.fit_ranker import LEAST_QUERIES, METRIC, fit_on_judged, paired_uplift
from lab.intervals import Bootstrap
from lab.ranked_queries import RUN_DEPTH, JudgedQuery, Progress, judged_queries
from lab.ranking_metrics import figures_by_query
from lab.value_ladder import evaluate_values
from rankers.documents import WholeChunker, cut
from rankers.index import HybridIndex

Runs = Mapping[str, Sequence[str]]
MEANINGS = {
    "bm25": "BM25 over stemmed words",
    "dense": "cosine of embeddings",
    "hybrid": "both lists fused, nothing learned",
    "learned": "LambdaMART over features of both lists",
}


def evaluate_ranker(
    folder: Path,
    embedder: TextEmbedder,
    *,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Any]:
    """Fits on the collection's training queries and reports on its test queries.

    Raises InvalidDocument where the folder cannot be used or trains no ranker.
    """
    collection = read_beir(folder)
    chunker = WholeChunker()
    index = HybridIndex.build(
        cut(collection.documents, chunker),
        embedder,
        chunker=chunker.name,
        progress=lambda done, total: progress("embedding the documents", done, total),
    )

    def judge(qrels: Qrels) -> list[JudgedQuery]:
        return judged_queries(index, embedder, collection.queries, qrels, progress)

    valid = judge(collection.valid) if collection.valid else []
    fitted = fit_on_judged(judge(collection.train), valid, seed=seed, progress=progress)
    if fitted.learned is None:
        raise InvalidDocument(
            "RUNG-RANKER-QUERIES",
            f"no ranker can be learned: {fitted.report['why']}",
            way_out=f"Judge {LEAST_QUERIES} training queries or more, with answers of their own.",
        )
    test = judge(collection.test)
    runs: dict[str, Runs] = {
        "bm25": {query.id: query.bm25_run for query in test},
        "dense": {query.id: query.dense_run for query in test},
        "hybrid": {query.id: query.run(fitted.hybrid.score(query.matrix)) for query in test},
        "learned": {query.id: query.run(fitted.learned.score(query.matrix)) for query in test},
    }
    relevance = {query.id: collection.test[query.id] for query in test}
    figures = {name: figures_by_query(run, relevance) for name, run in runs.items()}
    ours, theirs = figures["learned"][METRIC], figures["hybrid"][METRIC]
    uplift = paired_uplift(ours, theirs, seed=seed)
    evaluation = _evaluation(folder.name, collection, figures, seed)
    return {
        "evaluation": evaluation.model_dump(mode="json"),
        "systems": {name: _told(values, seed) for name, values in figures.items()},
        "uplift": uplift,
        "uplift_by_documents": _by_documents(collection, test, ours, theirs, seed),
        "promoted": evaluation.gate.registered,
        "gain": "linear",
        "depth": RUN_DEPTH,
        "n_queries": len(test),
        "n_documents": len(collection.documents),
        "chosen": {**fitted.report["chosen"], "on": "valid" if valid else "folds of train"},
        "held_out": {k: fitted.report[k] for k in ("folds", "held_out", "uplift", "promoted")},
    }


def _evaluation(
    name: str,
    collection: BeirCollection,
    figures: Mapping[str, Mapping[str, FloatArray]],
    seed: int,
) -> Evaluation:
    """From BM25 to the learned ranker, each against every simpler one, paired by query."""
    metrics = next(iter(figures.values()))
    return evaluate_values(
        "ranker",
        name,
        METRIC,
        "mean over queries, linear gain",
        {system: of[METRIC] for system, of in figures.items()},
        MEANINGS,
        SplitReport(
            kind="given",
            fit=len(collection.train),
            validation=len(collection.valid or {}),
            test=len(collection.test),
        ),
        yardsticks=("bm25", "dense"),
        others={
            metric: {system: of[metric] for system, of in figures.items()}
            for metric in metrics
            if metric != METRIC
        },
        seed=seed,
    )


def _told(figures: Mapping[str, FloatArray], seed: int) -> dict[str, Any]:
    """Means over the queries with 95 % bootstrap intervals; the same samples for all systems."""
    told: dict[str, Any] = {name: float(values.mean()) for name, values in figures.items()}
    told["n"] = len(next(iter(figures.values())))
    told["intervals"] = {name: _interval(values, seed) for name, values in figures.items()}
    return told


def _interval(values: FloatArray, seed: int) -> list[float]:
    return list(Bootstrap(rows=len(values), seed=seed).interval(lambda rows: values[rows].mean()))


def _by_documents(
    collection: BeirCollection,
    test: Sequence[JudgedQuery],
    ours: FloatArray,
    theirs: FloatArray,
    seed: int,
) -> dict[str, Any]:
    """The uplift apart for queries whose answer also answers a training query, and for the others.

    A ranker may learn documents by heart; only the second part shows what it learned of ranking.
    """
    known = {
        document
        for qrels in (collection.train, collection.valid or {})
        for judged in qrels.values()
        for document, score in judged.items()
        if score
    }
    shared = np.array([bool(known & set(query.relevance)) for query in test])
    parts = {"seen_in_training": shared, "unseen": ~shared}
    return {
        name: paired_uplift(ours[rows], theirs[rows], seed=seed) if rows.any() else None
        for name, rows in parts.items()
    }
