"""The Porter stemmer: "activates", "activated" and "activation" become one word.

M. F. Porter (1980), "An algorithm for suffix stripping", Program 14(3), with the two departures of
the author's own later version (-bli and -logi), which is what Lucene's English analysis uses.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

_STEP_2 = (
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
)
_STEP_3 = (
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
)
_STEP_4 = (
    *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion"),
    *("ou", "ism", "ate", "iti", "ous", "ive", "ize"),
)


@lru_cache(maxsize=100_000)  # a corpus has few distinct words, each many times
def stem(word: str) -> str:
    """Of a lower-case word; words of one or two letters and those with other letters stay."""
    if len(word) <= 2 or not (word.isascii() and word.isalpha()):
        return word
    for step in (_plural, _past, _final_y, _double_suffix, _third, _fourth, _final_e, _final_l):
        word = step(word)
    return word


def _consonant(word: str, place: int) -> bool:
    if word[place] in "aeiou":
        return False
    return word[place] != "y" or place == 0 or not _consonant(word, place - 1)


def _measure(part: str) -> int:
    """How often a vowel is followed by a consonant: m of the paper."""
    kinds = [_consonant(part, place) for place in range(len(part))]
    return sum(not one and two for one, two in pairwise(kinds))


def _has_vowel(part: str) -> bool:
    return any(not _consonant(part, place) for place in range(len(part)))


def _ends_double(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _consonant(word, len(word) - 1)


def _ends_cvc(word: str) -> bool:
    """Consonant, vowel, consonant, the last not w, x or y: the *o of the paper."""
    last = len(word) - 1
    return (
        last >= 2
        and _consonant(word, last)
        and not _consonant(word, last - 1)
        and _consonant(word, last - 2)
        and word[-1] not in "wxy"
    )


def _plural(word: str) -> str:  # step 1a
    if word.endswith(("sses", "ies")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word


def _past(word: str) -> str:  # step 1b
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        if word.endswith(suffix):
            part = word[: -len(suffix)]
            return _mended(part) if _has_vowel(part) else word
    return word


def _mended(part: str) -> str:
    if part.endswith(("at", "bl", "iz")):
        return part + "e"
    if _ends_double(part) and part[-1] not in "lsz":
        return part[:-1]
    return part + "e" if _measure(part) == 1 and _ends_cvc(part) else part


def _final_y(word: str) -> str:  # step 1c
    return word[:-1] + "i" if word.endswith("y") and _has_vowel(word[:-1]) else word


def _replacing(pairs: tuple[tuple[str, str], ...]) -> Callable[[str], str]:
    by_length = sorted(pairs, key=lambda pair: -len(pair[0]))

    def replace(word: str) -> str:
        for suffix, other in by_length:
            if word.endswith(suffix):
                part = word[: -len(suffix)]
                return part + other if _measure(part) > 0 else word
        return word

    return replace


_double_suffix, _third = _replacing(_STEP_2), _replacing(_STEP_3)


def _fourth(word: str) -> str:
    for suffix in sorted(_STEP_4, key=lambda text: -len(text)):
        if word.endswith(suffix):
            part = word[: -len(suffix)]
            kept = _measure(part) <= 1 or (suffix == "ion" and not part.endswith(("s", "t")))
            return word if kept else part
    return word


def _final_e(word: str) -> str:  # step 5a
    if not word.endswith("e"):
        return word
    part = word[:-1]
    m = _measure(part)
    return part if m > 1 or (m == 1 and not _ends_cvc(part)) else word


def _final_l(word: str) -> str:  # step 5b
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word
