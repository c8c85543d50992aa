"""Prefix filtering finds what comparing every pair finds, no more and no less."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checks.near_texts import NEAR, near_copies, shingles

WORDS = ("card", "transfer", "pin", "fee", "limit", "loan", "abroad", "blocked", "again", "please")
LETTERS = st.sampled_from("abcxyz ")
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=24).map(" ".join)


@st.composite
def originals_and_variants(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    originals = draw(st.lists(TEXTS, min_size=1, max_size=12, unique=True))
    variants = []
    for text in originals:
        letters = list(text)
        for _ in range(draw(st.integers(0, 2))):
            letters[draw(st.integers(0, len(letters) - 1))] = draw(LETTERS)
        variants.append("".join(letters))
    return originals, sorted(set(variants))


@settings(max_examples=150, deadline=None)
@given(originals_and_variants())
def test_as_comparing_every_pair(pair: tuple[list[str], list[str]]) -> None:
    among, asked = pair
    found = {text: similarity for text, _, similarity in near_copies(asked, among)}
    expected = {}
    for text in asked:
        own = shingles(text)
        best = max(
            (len(own & shingles(o)) / len(own | shingles(o)) for o in among if o != text),
            default=0.0,
        )
        if best >= NEAR:
            expected[text] = best
    assert found == expected


def test_a_text_with_one_letter_changed_is_a_near_copy_and_an_equal_one_is_not() -> None:
    text = "please tell me where the transfer to my landlord is, it was sent on monday morning"
    changed = text.replace("morning", "morninh")
    ((asked, nearest, similarity),) = near_copies([changed, text], ["nothing alike", text])
    assert (asked, nearest) == (changed, text) and NEAR <= similarity < 1
