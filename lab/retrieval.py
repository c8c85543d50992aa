"""Fits what answers from one corpus: the ranker that had to earn its place, and the quality."""

from collections.abc import Callable, Sequence
from typing import Any

from core.contracts import ANSWER
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from core.spec import DecisionSpec
from lab.decision_rows import DecisionRow
from lab.fit_quality import JudgedList, fit_quality, lists_of
from lab.fit_ranker import fit_ranker
from lab.ranked_queries import JudgedQuery, judged_queries
from rankers.index import HybridIndex
from rankers.quality import CITED
from rankers.ranker import Ranker, rank
from rankers.retriever import Retriever

Progress = Callable[[str, int, int], None]


def fit_retriever(
    spec: DecisionSpec,
    corpus: str,
    index: HybridIndex,
    rows: Sequence[DecisionRow],
    embedder: TextEmbedder,
    *,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> tuple[Retriever, dict[str, Any]]:
    """On the rows that this corpus answers. Raises InvalidDocument where one names no document."""
    asked = answerable(spec, corpus, rows)
    _refuse_strangers(corpus, index, asked)
    single, compound = (
        {
            f"{place:07d}": row
            for place, row in enumerate(asked)
            if (len(row.documents) > 1) is several
        }
        for several in (False, True)
    )
    text_of = spec.request.text_of
    # A question that takes two texts would tie their documents into one group, and with enough of
    # them the whole corpus: no fold could then be held out. The ranker learns from the others.
    fitted = fit_ranker(
        index,
        embedder,
        [(name, text_of(row.facts)) for name, row in single.items()],
        {name: row.documents for name, row in single.items()},
        seed=seed,
        progress=progress,
    )
    judged = judged_queries(
        index,
        embedder,
        {name: text_of(row.facts) for name, row in compound.items()},
        {name: dict.fromkeys(row.documents, 1) for name, row in compound.items()},
    )
    lists = lists_of(index, fitted) + [_compound(index, fitted.ranker, one) for one in judged]
    quality = fit_quality(lists, seed=seed)
    retriever = Retriever(
        index=index, embedder=embedder, ranker=fitted.ranker, quality=quality.scorer
    )
    return retriever, {"ranker": dict(fitted.report), "quality": quality.report}


def _compound(index: HybridIndex, ranker: Ranker, query: JudgedQuery) -> JudgedList:
    """One text is no whole answer to it; the cited ones are where they hold all it takes."""
    ranked = rank(index, query.rows, ranker.score(query.matrix), query.matrix)
    cited = {index.chunks[row].document for row in ranked.rows[:CITED]}
    return JudgedList(
        ranked=ranked,
        first_right=False,
        cited_right=set(query.relevance) <= cited,
        group=f"document\0{min(query.relevance)}",
    )


def answerable(spec: DecisionSpec, corpus: str, rows: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Rows whose truth is an answer from this corpus, by what their intent is handed to."""
    handlers = {name for name, handler in spec.handlers.items() if handler.corpus == corpus}
    intents = {name for name, intent in spec.intents.items() if intent.handler in handlers}
    return [row for row in rows if row.truth == ANSWER and row.intent in intents]


def _refuse_strangers(corpus: str, index: HybridIndex, rows: Sequence[DecisionRow]) -> None:
    known = {chunk.document for chunk in index.chunks}
    strange = sorted({document for row in rows for document in row.documents} - known)
    if strange:
        raise InvalidDocument(
            "RUNG-TABLE-DOCUMENT",
            f"the rows name '{strange[0]}', which is no document of {corpus}",
            way_out="Correct the id (a file's name without .md), or add the document.",
        )
