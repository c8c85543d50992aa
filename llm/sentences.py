"""Texts cut into sentences, questions into their parts, and what of a question a text covers."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

_END = re.compile(
    r"[.!?\u2026][\"'\u201d\u2019)]*(?=\s+[^\s\W_])"  # a stop, and a word after the gap
    r"|[\u3002\uff01\uff1f]"  # scripts that set no gap
)
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|no|approx|mr|mrs|ms|dr|\w)\.$", re.I)
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_WORD = re.compile(r"[^\W_]+")
_JOINT = re.compile(
    r"[?;\n]+|(?<=[.!])\s+|,?\s+(?:and|or|but|also|plus)\s+(?:also\s+)?"
    r"(?=(?:how|what|when|where|which|who|why|can|could|do|does|did|is|are|will|would|should|may"
    r"|if)\b)",
    re.I,
)
# Words that say nothing about a question's subject. Other languages lean on rarity alone.
_STOP_TEXT = """
    a about after again all also am an and any are as at be because been before being but by can
    could did do does doing for from had has have having he her here hers him his how i if in
    into is it its just may me might more most my no nor not now of on or our out over own
    please she should so some such than that the their them then there these they this those to
    too up us very was we were what when where which while who whom why will with would you your
"""
_STOP = frozenset(_STOP_TEXT.split())
_STEM = 6  # characters: refund(s|ed), charge(d), transf(er) apart from transa(ction)
MAX_PARTS = 3


def sentences(text: str) -> list[str]:
    """In order. Headings are left out; a list's item is a sentence.

    >>> sentences("# Fees\\nA card costs 5 EUR, e.g. a new one. It is sent by post.")
    ['A card costs 5 EUR, e.g. a new one.', 'It is sent by post.']
    """
    found: list[str] = []
    for block in _blocks(text):
        start = 0
        for end in _END.finditer(block):
            piece = block[start : end.end()].strip()
            if piece and not _ABBREVIATION.search(piece):
                found.append(piece)
                start = end.end()
        if block[start:].strip():
            found.append(block[start:].strip())
    return found


def parts(question: str) -> list[str]:
    """The questions that a compound question joins, at most three; itself if it is simple.

    >>> parts("How long does a refund take and can I cancel it?")
    ['How long does a refund take', 'can I cancel it']
    """
    found = [part.strip() for part in _JOINT.split(question) if words(part)]
    if len(found) > MAX_PARTS:
        found = [*found[: MAX_PARTS - 1], " ".join(found[MAX_PARTS - 1 :])]
    return found


def words(text: str) -> frozenset[str]:
    """Stems of the words that tell what a text is about."""
    found = (word.casefold() for word in _WORD.findall(text))
    return frozenset(word[:_STEM] for word in found if word not in _STOP)


class Coverage:
    """How much of a question's telling words a text has; rare words among `texts` tell more."""

    def __init__(self, texts: Sequence[frozenset[str]]) -> None:
        self._n = len(texts)
        self._seen = Counter(word for text in texts for word in text)

    def of(self, question: Iterable[str], text: frozenset[str]) -> float:
        """0 to 1, the idf-weighted share."""
        weights = {word: self._weight(word) for word in question}
        total = math.fsum(weights.values())
        if total <= 0:
            return 0.0
        return math.fsum(weight for word, weight in weights.items() if word in text) / total

    def _weight(self, word: str) -> float:
        """BM25's idf (Robertson and Zaragoza 2009, with Lucene's +1)."""
        seen = self._seen[word]
        return math.log1p((self._n - seen + 0.5) / (seen + 0.5))


def _blocks(text: str) -> list[str]:
    """Paragraphs with their line breaks undone, items one by one, headings left out."""
    blocks: list[str] = []
    open_block = False
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            open_block = False
        elif _BULLET.match(line):
            blocks.append(_BULLET.sub("", line).strip())
            open_block = True
        elif open_block:
            blocks[-1] += f" {stripped}"
        else:
            blocks.append(stripped)
            open_block = True
    return blocks
