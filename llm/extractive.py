"""The language door without a model: an answer is sentences of the passages, word for word."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.contracts import Answer, Json, Passage
from core.embedding import FloatArray, TextEmbedder
from llm.door import LanguageResult, Reason
from llm.extract import schema_validator
from llm.sentences import Coverage, parts, sentences, words

VERSION = "extractive@1"  # raised with every change to what is told
MAX_DOCUMENTS = 3
MAX_PASSAGES = 10
MAX_SENTENCES = 300  # of all passages; an embedder does some 260 a second on two cores
TOLD_ALONE, TOLD_EACH = 4, 3  # sentences for a simple question, for each part of a compound one
OF_PASSAGE = 0.5  # weight of what the whole passage covers, beside the sentence itself
OF_CONTEXT = 0.25  # weight of the sentence before: "It takes five days" says not what "it" is
OF_RANK = 0.3  # weight of the ranker's order: 1, 1/2, 1/3 …
COMPANION = 0.5  # a second sentence is told if it scores this share of the passage's best
ENOUGH = 0.15  # the least share of a part's telling words that its passage must have
ENOUGH_ALIKE = 0.35  # or the least cosine of the part with a sentence
OPEN_WORDS, OPEN_SHARE, OPEN_FOUND = 2, 0.3, 0.3  # see left_open


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    passage: int
    position: int
    text: str


class ExtractiveDoor:
    """Implements LanguageDoor. Deterministic; `embedder` adds likeness in meaning to words."""

    def __init__(self, *, embedder: TextEmbedder | None = None) -> None:
        self._embedder = embedder

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def answer(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[Answer]:
        started = time.monotonic()
        value: Answer | None = None
        reason: Reason | None = None
        if not passages:
            reason = "llm_no_passages"
        elif deadline_s <= 0:
            reason = "llm_late"
        else:
            try:
                # In a thread: an embedder blocks for as long as the passages are.
                value = await asyncio.wait_for(
                    asyncio.to_thread(_answer, question, passages[:MAX_PASSAGES], self._embedder),
                    deadline_s,
                )
                reason = None if value else "llm_no_match"
            except TimeoutError:
                reason = "llm_late"
        return LanguageResult(
            value=value,
            reason=reason,
            prompt=VERSION,
            raw=value.text if value else None,
            milliseconds=(time.monotonic() - started) * 1000,
        )

    async def extract(
        self,
        text: str,
        schema: Mapping[str, Any],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[dict[str, Json]]:
        """Abstains: without a model a field could only be guessed."""
        schema_validator(schema)
        return LanguageResult(value=None, reason="llm_not_configured", prompt=VERSION)

    async def classify(
        self,
        text: str,
        outcomes: Mapping[str, str],
        *,
        tenant_id: str,
        decision: str,
        deadline_s: float,
    ) -> LanguageResult[str]:
        """Abstains: the classical router has had its say before this door is asked."""
        return LanguageResult(value=None, reason="llm_not_configured", prompt=VERSION)


def _answer(
    question: str, passages: Sequence[Passage], embedder: TextEmbedder | None
) -> Answer | None:
    all_sentences = [
        _Sentence(passage=number, position=position, text=text)
        for number, passage in enumerate(passages)
        for position, text in enumerate(sentences(passage.text))
    ][:MAX_SENTENCES]
    asked = parts(question)
    if not asked or not all_sentences:
        return None
    told = TOLD_ALONE if len(asked) == 1 else TOLD_EACH
    index = _Index(passages, all_sentences)
    chosen: dict[_Sentence, None] = {}
    for part, alike in zip(asked, _alike(asked, all_sentences, embedder), strict=True):
        wanted = words(part)
        while wanted:
            documents = {passages[sentence.passage].document for sentence in chosen}
            best = _best(index.scores(wanted, alike), all_sentences, told)
            if not best:
                break
            passage = best[0].passage
            if passages[passage].document in documents or len(documents) < MAX_DOCUMENTS:
                chosen.update(dict.fromkeys(best))
            wanted, alike = index.left_open(wanted, passage), np.zeros_like(alike)
    if not chosen:
        return None
    # Passages in the order in which they answer the parts, sentences in the order of their text.
    first = {s.passage: n for n, s in reversed(list(enumerate(chosen)))}
    ordered = sorted(chosen, key=lambda s: (first[s.passage], s.position))
    return Answer(
        text=" ".join(sentence.text for sentence in ordered),
        citations=tuple(dict.fromkeys(passages[s.passage].document for s in ordered)),
        made_by="extractive",
    )


class _Index:
    """What each sentence and each whole passage covers of a set of words."""

    def __init__(self, passages: Sequence[Passage], all_sentences: Sequence[_Sentence]) -> None:
        self._sentences = all_sentences
        self._bags = [words(sentence.text) for sentence in all_sentences]
        self._wholes = [words(f"{passage.title}\n{passage.text}") for passage in passages]
        self._coverage = Coverage(self._bags)

    def scores(self, wanted: frozenset[str], alike: FloatArray) -> FloatArray:
        """(sentences,); -inf where the passage covers too little."""
        of_passage = [self._coverage.of(wanted, whole) for whole in self._wholes]
        of_sentence = np.array([self._coverage.of(wanted, bag) for bag in self._bags]) + alike
        scores = np.full(len(self._sentences), -np.inf)
        for column, sentence in enumerate(self._sentences):
            number = sentence.passage
            if of_passage[number] >= ENOUGH or alike[column] >= ENOUGH_ALIKE:
                scores[column] = (
                    of_sentence[column]
                    + (OF_CONTEXT * of_sentence[column - 1] if sentence.position else 0.0)
                    + OF_PASSAGE * of_passage[number]
                    + OF_RANK / (1 + number)
                )
        return scores

    def left_open(self, wanted: frozenset[str], passage: int) -> frozenset[str]:
        """The words that `passage` lacks, if they are a question of their own that another
        passage speaks of: two questions are not always joined by a word that tells."""
        left = wanted - self._wholes[passage]
        others = [whole for n, whole in enumerate(self._wholes) if n != passage]
        if len(left) < OPEN_WORDS or self._coverage.of(wanted, left) < OPEN_SHARE:
            return frozenset()
        if max((self._coverage.of(left, whole) for whole in others), default=0.0) < OPEN_FOUND:
            return frozenset()
        return left


def _alike(
    asked: Sequence[str], all_sentences: Sequence[_Sentence], embedder: TextEmbedder | None
) -> FloatArray:
    if embedder is None:
        return np.zeros((len(asked), len(all_sentences)))
    vectors = embedder.encode([*asked, *(sentence.text for sentence in all_sentences)])
    cosines: FloatArray = vectors[: len(asked)] @ vectors[len(asked) :].T
    return np.round(cosines, 4)  # the last bits depend on how texts were batched


def _best(row: FloatArray, all_sentences: Sequence[_Sentence], most: int) -> list[_Sentence]:
    """The passage with the best sentence, and of it the sentences that come near the best."""
    top = int(row.argmax())
    if not np.isfinite(row[top]):
        return []
    passage = all_sentences[top].passage
    near = [
        (-row[column], column)
        for column, sentence in enumerate(all_sentences)
        if sentence.passage == passage and row[column] >= COMPANION * row[top]
    ]
    return [all_sentences[column] for _, column in sorted(near)[:most]]
