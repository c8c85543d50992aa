"""The stemmer against the worked examples of Porter's paper, carried through all of its steps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankers.porter import stem

# The paper gives what each step makes of these words; here is what is left after the last step.
WORKED = """
caresses caress  ponies poni  ties ti  caress caress  cats cat  feed feed  agreed agre
plastered plaster  bled bled  motoring motor  sing sing  conflated conflat  troubled troubl
sized size  hopping hop  tanned tan  falling fall  hissing hiss  fizzed fizz  failing fail
filing file  happy happi  sky sky  relational relat  conditional condit  rational ration
valenci valenc  hesitanci hesit  digitizer digit  conformabli conform  radicalli radic
differentli differ  vileli vile  analogousli analog  vietnamization vietnam  predication predic
operator oper  feudalism feudal  decisiveness decis  hopefulness hope  callousness callous
formaliti formal  sensitiviti sensit  sensibiliti sensibl  triplicate triplic  formative form
formalize formal  electriciti electr  electrical electr  hopeful hope  goodness good
revival reviv  allowance allow  inference infer  airliner airlin  gyroscopic gyroscop
adjustable adjust  defensible defens  irritant irrit  replacement replac  adjustment adjust
dependent depend  adoption adopt  homologou homolog  communism commun  activate activ
angulariti angular  homologous homolog  effective effect  bowdlerize bowdler  probate probat
rate rate  cease ceas  controll control  roll roll  generalizations gener  oscillators oscil
"""


@pytest.mark.parametrize(
    ("word", "stemmed"), [tuple(pair.split()) for pair in re.split(r"  |\n", WORKED.strip())]
)
def test_the_papers_examples(word: str, stemmed: str) -> None:
    assert stem(word) == stemmed


def test_forms_of_one_word_meet_and_other_words_do_not() -> None:
    assert len({stem(w) for w in ("activate", "activates", "activated", "activation")}) == 1
    assert len({stem(w) for w in ("card", "cart", "care", "carry")}) == 4


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=25))
def test_a_stem_is_never_empty_nor_longer(word: str) -> None:
    stemmed = stem(word)
    assert 0 < len(stemmed) <= len(word)
    assert stemmed[0] == word[0] or stemmed[0] == "i"  # only a final y is exchanged


@pytest.mark.parametrize("word", ["überweisung", "0x7f", "a1b2s", "naïves", "is"])
def test_words_of_other_letters_stay(word: str) -> None:
    assert stem(word) == word
