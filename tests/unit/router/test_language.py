"""The language of a text: told where it can be, undetermined where it cannot."""

import csv
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.language import UNDETERMINED, LanguageDetector

BANKING = Path(__file__).parents[3] / "../shared/data/banking77/test.csv"
DETECTOR = LanguageDetector()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "Why was my payment declined at the shop yesterday?"),
        ("de", "Warum wurde meine Zahlung abgelehnt? Ich habe genug Geld auf dem Konto."),
        ("fr", "Pourquoi mon paiement a-t-il été refusé hier soir au magasin ?"),
        ("es", "¿Por qué no ha llegado todavía mi tarjeta nueva?"),
        ("it", "Perché il mio bonifico non è ancora arrivato?"),
        ("nl", "Waarom is mijn betaling geweigerd in de winkel?"),
        ("pl", "Dlaczego moja płatność została odrzucona?"),
        ("pt", "Por que o meu cartão ainda não chegou?"),
        ("zh", "为什么我的付款被拒绝了"),
        ("zh", "卡丢了"),
        ("ja", "なぜ私の支払いは拒否されたのですか"),
        ("ar", "لماذا تم رفض الدفع الخاص بي؟"),
        ("ru", "Почему мой платёж был отклонён?"),
    ],
)
def test_a_sentence_is_recognised(code: str, text: str) -> None:
    language = DETECTOR.detect(text)
    assert language.code == code
    assert 0.3 <= language.probability <= 1


@pytest.mark.parametrize("text", ["", " \n", "?!", "12345", "ok", "card", "Hallo", "help", "🙂🙂"])
def test_what_is_too_short_to_tell_is_undetermined(text: str) -> None:
    assert DETECTOR.detect(text).code == UNDETERMINED


@given(st.text(alphabet=st.characters(), max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_text_has_an_answer_and_always_the_same(text: str) -> None:
    first = DETECTOR.detect(text)
    DETECTOR.detect("Warum wurde meine Zahlung abgelehnt?")
    assert DETECTOR.detect(text) == first
    assert 0 <= first.probability <= 1


def test_lone_surrogates_and_very_long_texts_are_read() -> None:
    assert DETECTOR.detect("why was my payment declined \ud800").code in {"en", UNDETERMINED}
    assert DETECTOR.detect("why was my payment declined " * 100_000).code == "en"


def test_threads_that_start_together_agree() -> None:
    detector = LanguageDetector()
    texts = ["Warum wurde meine Zahlung abgelehnt?", "Why was my payment declined?"] * 4
    found: dict[int, str] = {}
    together = threading.Barrier(len(texts))

    def detect(place: int) -> None:
        together.wait()
        found[place] = detector.detect(texts[place]).code

    threads = [threading.Thread(target=detect, args=(place,)) for place in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[place] for place in range(len(texts))] == ["de", "en"] * 4


def test_english_questions_are_hardly_ever_called_another_language() -> None:
    if not BANKING.exists():
        pytest.skip("needs ../shared/data/banking77")
    with BANKING.open(encoding="utf-8", newline="") as file:
        codes = [DETECTOR.detect(row["text"]).code for row in csv.DictReader(file)]
    assert sum(code not in {"en", UNDETERMINED} for code in codes) / len(codes) < 0.01
    assert codes.count("en") / len(codes) > 0.9
