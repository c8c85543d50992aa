"""Pairs of texts that share nearly all their character 5-grams, found without comparing all pairs.

Prefix filtering (Bayardo, Ma & Srikant 2007): of two sets with a Jaccard similarity of t or more,
the rarest |A| - ceil(t |A|) + 1 members of A and those of B have one in common. So the result is
that of comparing every pair.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

GRAM = 5
NEAR = 0.9


def shingles(text: str) -> frozenset[str]:
    """A text shorter than a gram is its own."""
    return frozenset(text[place : place + GRAM] for place in range(max(1, len(text) - GRAM + 1)))


def near_copies(asked: Sequence[str], among: Sequence[str]) -> list[tuple[str, str, float]]:
    """For each of `asked` that has any: its most similar one of `among`, and their similarity.

    Texts are normalised and distinct. Equal texts are no near copies.
    """
    sets = {text: shingles(text) for text in {*asked, *among}}
    counts = Counter(gram for grams in sets.values() for gram in grams)
    prefixes = {text: _rarest(grams, counts) for text, grams in sets.items()}
    holding: dict[str, list[str]] = defaultdict(list)
    for text in sorted(set(among)):
        for gram in prefixes[text]:
            holding[gram].append(text)
    found = []
    for text in asked:
        nearest = _nearest(text, prefixes[text], holding, sets)
        if nearest:
            found.append((text, nearest[1], nearest[0]))
    return found


def _rarest(grams: frozenset[str], counts: Counter[str]) -> list[str]:
    kept = len(grams) - math.ceil(NEAR * len(grams) - 1e-9) + 1
    return sorted(grams, key=lambda gram: (counts[gram], gram))[:kept]


def _nearest(
    text: str,
    prefix: Sequence[str],
    holding: dict[str, list[str]],
    sets: dict[str, frozenset[str]],
) -> tuple[float, str] | None:
    own = sets[text]
    best: tuple[float, str] | None = None
    for candidate in sorted({one for gram in prefix for one in holding.get(gram, ())} - {text}):
        other = sets[candidate]
        if min(len(own), len(other)) < NEAR * max(len(own), len(other)):
            continue
        common = len(own & other)
        similarity = common / (len(own) + len(other) - common)
        if similarity >= NEAR and (best is None or similarity > best[0]):
            best = (similarity, candidate)
    return best
