"""The keyless answer is word for word from the passages, deterministic, and says when it cannot."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import Answer, Passage
from core.embedding import FloatArray, TextEmbedder
from core.errors import InvalidDocument
from llm import ExtractiveDoor, LanguageResult
from llm.sentences import Coverage, parts, sentences, words
from tests.fakes.hashing_embedder import HashingEmbedder

REFUNDS = Passage(
    document="refund-times",
    title="How long a refund takes",
    text="# Refunds\n\nA shop starts the refund. It reaches your card in 3 to 5 working days.\n"
    "- A refund to a closed card goes to your account.\n- You get a message when it arrives.",
    score=3.0,
)
CANCEL = Passage(
    document="cancel-transfer",
    title="Cancel a transfer",
    text="A pending transfer can be cancelled in the app. One that was sent cannot be cancelled.",
    score=2.0,
)
FEES = Passage(
    document="fees",
    title="Fees abroad",
    text="Cash abroad costs 2 EUR. Card payments abroad are free of fees.",
    score=1.0,
)
ALL = (REFUNDS, CANCEL, FEES)


def ask(
    question: str,
    passages: Sequence[Passage] = ALL,
    *,
    embedder: TextEmbedder | None = None,
    deadline_s: float = 10.0,
) -> LanguageResult[Answer]:
    door = ExtractiveDoor(embedder=embedder)
    return asyncio.run(
        door.answer(question, passages, tenant_id="acme", decision="support", deadline_s=deadline_s)
    )


def answer(question: str, passages: Sequence[Passage] = ALL) -> Answer:
    value = ask(question, passages).value
    assert value is not None
    return value


def test_the_sentence_that_answers_is_told_and_cited() -> None:
    result = ask("How many days until a refund reaches my card?")
    assert result.value is not None
    assert "It reaches your card in 3 to 5 working days." in result.value.text
    assert result.value.citations == ("refund-times",)
    assert result.value.made_by == "extractive"
    assert (result.price, result.model, result.attempts) == (0, None, ())
    assert result.prompt == "extractive@1"


@pytest.mark.parametrize(
    "question",
    [
        "How long does a refund take and can I cancel a pending transfer?",
        "How long does a refund take? Can I cancel a pending transfer?",
        "refund days, cancelled pending transfer",  # nothing tells that these are two
    ],
)
def test_a_compound_question_is_answered_from_more_than_one_document(question: str) -> None:
    told = answer(question)
    assert set(told.citations) == {"refund-times", "cancel-transfer"}
    assert "3 to 5 working days" in told.text and "cancelled in the app" in told.text


def test_three_documents_at_most() -> None:
    topics = ["refund", "transfer", "statement", "passcode", "cheque"]
    passages = [
        Passage(document=t, title=t, text=f"The {t} is explained here.", score=1.0) for t in topics
    ]
    told = answer("Where is the " + "? Where is the ".join(topics) + "?", passages)
    assert len(told.citations) == 3


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=4), st.text(max_size=60))
def test_every_sentence_stands_in_a_cited_passage(passages: list[Passage], tail: str) -> None:
    result = ask(f"refund transfer fees {tail}", passages)
    if result.value is None:
        assert result.reason == "llm_no_match"
        return
    cited = [p for p in passages if p.document in result.value.citations]
    assert {p.document for p in cited} == set(result.value.citations)
    left = result.value.text
    for sentence in {s for p in cited for s in sentences(p.text)}:
        left = left.replace(sentence, "")
    assert not left.strip()


@given(st.permutations(["alpha", "beta", "gamma"]))
def test_what_does_not_bear_on_the_question_changes_nothing(order: list[str]) -> None:
    noise = [Passage(document=w, title=w, text=f"Only {w} {w}.", score=0.0) for w in order]
    question = "How long until a refund reaches my card?"
    assert answer(question, [*ALL, *noise]).citations == answer(question).citations


def test_a_question_that_no_passage_speaks_of_is_an_abstention() -> None:
    for question in ("Who won the football game?", "???", "", "and or the"):
        result = ask(question)
        assert (result.value, result.reason) == (None, "llm_no_match")
    assert ask("refund", []).reason == "llm_no_passages"
    empty = Passage(document="e", title="", text=" # \n", score=1.0)
    assert ask("refund", [empty]).reason == "llm_no_match"


def test_an_embedder_finds_what_words_do_not() -> None:
    class Meaning:
        """One axis for money that comes back, one for all else."""

        fingerprint = "meaning"

        def encode(self, texts: Sequence[str]) -> FloatArray:
            back = [any(w in t.lower() for w in ("refund", "reimburse")) for t in texts]
            return np.array([[1.0, 0.0] if b else [0.0, 1.0] for b in back])

    question = "Reimbursed how?"
    assert ask(question).reason == "llm_no_match"
    told = ask(question, embedder=Meaning()).value
    assert told and told.citations == ("refund-times",)


def test_the_same_question_is_answered_the_same_with_and_without_embedder() -> None:
    for embedder in (None, HashingEmbedder()):
        first = ask("refund and cancel a transfer?", embedder=embedder)
        again = ask("refund and cancel a transfer?", embedder=embedder)
        assert first.value == again.value is not None


def test_an_embedder_that_is_too_slow_is_an_abstention() -> None:
    go_on = threading.Event()

    class Slow:
        fingerprint = "slow"

        def encode(self, texts: Sequence[str]) -> FloatArray:
            go_on.wait(10)
            return HashingEmbedder().encode(texts)

    async def both() -> LanguageResult[Answer]:
        door = ExtractiveDoor(embedder=Slow())
        try:
            return await door.answer("refund", ALL, tenant_id="a", decision="d", deadline_s=0.05)
        finally:
            go_on.set()

    assert asyncio.run(both()).reason == "llm_late"
    assert ask("refund", deadline_s=0).reason == "llm_late"


def test_what_needs_a_model_abstains() -> None:
    door = ExtractiveDoor()

    async def both() -> list[str | None]:
        common = {"tenant_id": "a", "decision": "d", "deadline_s": 1.0}
        extracted = await door.extract("x", {"type": "object"}, **common)  # type: ignore[arg-type]
        classified = await door.classify("x", {"a": "A"}, **common)  # type: ignore[arg-type]
        return [extracted.reason, classified.reason]

    assert asyncio.run(both()) == ["llm_not_configured"] * 2
    with pytest.raises(InvalidDocument):
        asyncio.run(door.extract("x", {}, tenant_id="a", decision="d", deadline_s=1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs 2.50 EUR, e.g. abroad. Next.", ["It costs 2.50 EUR, e.g. abroad.", "Next."]),
        ('He said "Stop." Then left.', ['He said "Stop."', "Then left."]),
        ("A line\nthat goes on.\n\nAnother.", ["A line that goes on.", "Another."]),
        ("- First item\n- Second\n  continued\n2) Third", None),
        ("これは本です。それもです。", ["これは本です。", "それもです。"]),
        ("", []),
        ("## Only a heading", []),
    ],
)
def test_sentences(text: str, expected: list[str] | None) -> None:
    assert sentences(text) == (expected or sentences(text))
    if expected is None:
        assert sentences(text) == ["First item", "Second continued", "Third"]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where is my refund?", ["Where is my refund"]),
        ("Salt and pepper costs?", ["Salt and pepper costs"]),
        ("Where is it, and how do I stop it?", ["how do I stop it"]),
        ("Lost card? Fees? Limits? Name change?", ["Lost card", "Fees", "Limits Name change"]),
    ],
)
def test_parts_of_a_question(question: str, expected: list[str]) -> None:
    assert parts(question) == expected


@given(st.text(max_size=80))
def test_parts_are_three_at_most_and_each_has_a_telling_word(question: str) -> None:
    found = parts(question)
    assert len(found) <= 3
    assert all(words(part) for part in found)


@given(st.lists(st.frozensets(st.sampled_from("abcdef")), min_size=1, max_size=6))
def test_coverage_is_a_share_that_grows_with_the_words(texts: list[frozenset[str]]) -> None:
    coverage = Coverage(texts)
    wanted = frozenset("abc")
    shares = [coverage.of(wanted, frozenset("abcdef"[:n])) for n in range(7)]
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == pytest.approx(1)
    assert coverage.of([], frozenset("a")) == 0
