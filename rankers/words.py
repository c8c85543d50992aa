"""One way to take a text apart into words, for indexing, searching and features alike."""

import re

from rankers.porter import stem

VERSION = "words-porter.v1"

_WORD = re.compile(r"\w\w+")

# Lucene's English list: words so common that they tell nothing about a document.
STOPWORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into"),
        *("is", "it", "no", "not", "of", "on", "or", "such", "that", "the", "their", "then"),
        *("there", "these", "they", "this", "to", "was", "will", "with"),
    )
)


def words(text: str) -> list[str]:
    """Lower-case words of two letters or more in their order, stemmed.

    BM25 on SciFact's training queries: 0.669 nDCG@10 with words as they stand, 0.686 without plural
    endings, 0.697 with Porter's stems.
    """
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in STOPWORDS]
