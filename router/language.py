"""Which language a text is in, or that it is too short to tell; the model comes with its package.

py3langid reads its model from its own wheel as plain arrays, and asks no host for anything.
"""

import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

UNDETERMINED = "und"  # ISO 639-2; whoever asks may take it for any language
# Of 10,003 English bank questions (banking77's training file), 0.04 % were called another language
# at this probability, 0.02 % at 0.7 and 0.09 % at 0.5. The model's probability already falls with
# the text's length ("Meine Karte" 0.44, "Wo ist meine Karte?" 0.89), so no length is asked for.
LEAST_PROBABILITY = 0.6
# Letters of another script rule most languages out by themselves: a short Chinese question has 0.5.
LEAST_PROBABILITY_NOT_LATIN = 0.3
MOST_CHARACTERS = 1000  # the answer is settled by then, and each 60 characters take 70 µs


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """`code` is ISO 639, `und` where undetermined; `probability` is the likeliest language's."""

    code: str
    probability: float


class Identifier(Protocol):
    """py3langid's, which ships no types."""

    def classify(self, text: str) -> tuple[str, float]: ...


def _from_its_package() -> Identifier:
    # It takes NumPy and 0.5 s, which a process that sees no text is spared.
    from py3langid import langid  # type: ignore[import-untyped]

    return langid.LanguageIdentifier.from_model_file(  # type: ignore[no-any-return]
        langid.MODEL_FILE, norm_probs=True
    )


class LanguageDetector:
    """140 languages. The model is loaded once, at the first text or before by `load`.

    Safe to share among threads: one is enough for a process.
    """

    def __init__(self, opened: Callable[[], Identifier] = _from_its_package) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._identifier: Identifier | None = None

    def load(self) -> None:
        """For whoever cannot wait at the first text, as an event loop."""
        self._loaded()

    def detect(self, text: str) -> Language:
        """The same for the same text, whatever was asked before."""
        read = text[:MOST_CHARACTERS]
        letters = [character for character in read if character.isalpha()]
        if not letters:
            return Language(code=UNDETERMINED, probability=0.0)
        code, probability = self._loaded().classify(read)
        latin = sum(_is_latin(letter) for letter in letters) * 2 >= len(letters)
        least = LEAST_PROBABILITY if latin else LEAST_PROBABILITY_NOT_LATIN
        known = probability >= least and code != "zxx"  # zxx: not a language at all
        return Language(code=code if known else UNDETERMINED, probability=float(probability))

    def _loaded(self) -> Identifier:
        """Classifying changes nothing in the identifier, so that only loading needs the lock."""
        if self._identifier is None:
            with self._lock:
                self._identifier = self._identifier or self._opened()
        return self._identifier


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN")
