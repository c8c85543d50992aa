"""What the embedder's bench works on: distinct passages of mixed lengths, and judged questions."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

EXAMPLE = Path(__file__).parents[1] / "examples" / "payments_support"
SIMULATED_ROWS = 1_200  # some 500 distinct questions that one article answers
# How many sentences a passage has, each as often as the next: a message, a paragraph, a section.
SENTENCES = (1, 1, 2, 4, 8, 12)
MOST_WHOLE = 4  # at most one passage in so many is a document in whole
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Documents and questions by id, and which documents are right for a question."""

    name: str
    documents: Mapping[str, str]
    questions: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]


def beir_collection(folder: Path) -> Collection:
    """Its test questions. Raises InvalidDocument."""
    from lab.beir import read_beir

    read = read_beir(folder)
    return Collection(
        name=folder.name,
        documents={one.id: f"{one.title} {one.text}".strip() for one in read.documents},
        questions={name: read.queries[name] for name in sorted(read.test)},
        relevance=read.test,
    )


def example_collection(seed: int) -> Collection:
    """The articles of the example, and simulated questions that one of them answers."""
    from cli.decision_folder import DecisionFolder

    folder = DecisionFolder.read(EXAMPLE)
    documents = {
        one.id: f"{one.title} {one.text}".strip()
        for corpus in folder.spec.corpora
        for one in folder.documents(corpus)
    }
    asked: dict[str, str] = {}
    for message, named in _simulated(seed):
        if len(named) == 1:
            asked.setdefault(message, named[0])
    names = {message: f"q{place:05}" for place, message in enumerate(sorted(asked))}
    return Collection(
        name=EXAMPLE.name,
        documents=documents,
        questions={name: message for message, name in names.items()},
        relevance={name: {asked[message]: 1} for message, name in names.items()},
    )


def mixed_passages(documents: Sequence[str], n: int, *, seed: int) -> list[str]:
    """`n` distinct texts: whole documents, and one to twelve sentences of any of them.

    In the order in which they would come: short and long ones as chance has it.
    """
    source = random.Random(seed)
    whole = list(dict.fromkeys(documents))
    source.shuffle(whole)
    passages = dict.fromkeys(whole[: n // MOST_WHOLE])
    sentences = [part for text in whole for part in _SENTENCE.split(text) if part.strip()]
    alone = sorted(set(sentences))
    source.shuffle(alone)
    while len(passages) < n:
        size = source.choice(SENTENCES)
        if size == 1 and alone:
            passages[alone.pop()] = None
        else:  # two sentences or more where none is left that would stand alone
            passages[" ".join(source.choices(sentences, k=max(2, size)))] = None
    drawn = list(passages)
    source.shuffle(drawn)
    return drawn


def one_in_a_hundred_changed(passages: Sequence[str]) -> list[str]:
    return [
        f"{text} It was changed." if place % 100 == 0 else text
        for place, text in enumerate(passages)
    ]


def _simulated(seed: int) -> Iterator[tuple[str, list[str]]]:
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        words = ["--rows", SIMULATED_ROWS, "--seed", seed, "--split", "test", "--out", rows]
        subprocess.run(
            [sys.executable, str(EXAMPLE / "simulate.py"), *map(str, words)],
            check=True,
            capture_output=True,
        )
        for line in rows.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield row["message"], row["documents"]
