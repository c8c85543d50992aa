"""No personal number survives, what is no such number does, and twice is the same as once."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.identity.redaction import redact

# Validators of our own, written from the standards and not from the module under test.


def luhn(digits: str) -> bool:
    doubled = [int(d) * 2 if n % 2 else int(d) for n, d in enumerate(reversed(digits))]
    return sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def iban_checks(iban: str) -> bool:
    rest = 0
    for sign in iban[4:].upper() + iban[:4].upper():
        rest = int(f"{rest}{sign if sign.isdigit() else ord(sign) - 55}") % 97
    return rest == 1


def with_check_digit(body: str) -> str:
    return next(body + digit for digit in string.digits if luhn(body + digit))


def make_iban(country: str, body: str) -> str:
    return next(
        f"{country}{check:02d}{body}"
        for check in range(2, 99)
        if iban_checks(f"{country}{check:02d}{body}")
    )


cards = st.builds(with_check_digit, st.text(string.digits, min_size=12, max_size=18))
ibans = st.one_of(
    st.builds(make_iban, st.just("DE"), st.text(string.digits, min_size=18, max_size=18)),
    st.builds(make_iban, st.just("NO"), st.text(string.digits, min_size=11, max_size=11)),
    st.builds(
        make_iban,
        st.just("MT"),
        st.text(string.digits + string.ascii_uppercase, min_size=27, max_size=27),
    ),
)
surroundings = st.text(
    st.sampled_from("abz <>@.+-()/_:,;'\n019DEé٣") | st.characters(), max_size=30
)
separators = st.sampled_from(["", " ", "-", ".", "\u00a0", " - ", "\u2011"])


def grouped(number: str, separator: str, size: int = 4) -> str:
    return separator.join(number[at : at + size] for at in range(0, len(number), size))


@given(surroundings, cards, separators, surroundings)
def test_no_card_survives(before: str, card: str, separator: str, after: str) -> None:
    text = redact(before + grouped(card, separator) + after).text
    for found in re.finditer(r"\d(?:[ -]?\d){12,}", text):
        digits = re.sub(r"\D", "", found[0])
        for size in range(13, 20):
            for start in range(len(digits) - size + 1):
                assert not luhn(digits[start : start + size])
    assert card not in re.sub(r"\D", "", text)


@given(surroundings, ibans, st.sampled_from(["", " ", "-"]), st.booleans(), surroundings)
def test_no_iban_survives(before: str, iban: str, separator: str, lower: bool, after: str) -> None:
    written = grouped(iban.lower() if lower else iban, separator)
    text = redact(before + written + after).text
    assert written not in text
    # What comes before may itself make another valid one out of a part of it.
    assert "<iban>" in text or "<email>" in text


@given(st.text() | surroundings | st.text("0123456789 .-+()@aD", max_size=60))
@example("a@b.c@1234567890123")
@example("x1234567890DE89370400440532013000")
def test_twice_is_the_same_as_once(text: str) -> None:
    once = redact(text)
    assert redact(once.text).text == once.text
    assert not set(redact(once.text).counts)


@given(st.text(string.ascii_letters + " ,;!?'\n", max_size=200))
def test_words_are_left_as_they_are(text: str) -> None:
    assert redact(text).text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to Bob.O'Neil+x@mail.example.co.uk.", "write to <email>."),
        ("DE89 3704 0044 0532 0130 00 please", "<iban> please"),
        ("gb29nwbk60161331926819", "<iban>"),
        ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "<iban>"),
        ("card 4111-1111-1111-1111, exp 12/27", "card <card>, exp 12/27"),
        ("amex 3782 822463 10005", "amex <card>"),
        ("+49 (0)30 901820 or (030) 90182045", "<phone> or <phone>"),
        ("call 0301234567", "call <phone>"),
        ("1-555-123-4567", "<phone>"),
        ("(555) 123-4567", "<phone>"),
        ("from 192.168.10.200", "from <ip>"),
        ("my number is 123-45-6789", "my number is <ssn>"),
        ("customer 123456789", "customer <digits>"),
        ("\u0664" + "\u0661" * 15, "<card>"),  # the same number in Arabic digits
    ],
)
def test_each_kind_has_its_placeholder(text: str, expected: str) -> None:
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "paid 1,234.56 EUR on 2026-01-31 12:00 for order 12345678",
        "on 01.02.2026 and 31/12/2025, 3 x 12.50",
        "by 10 April at 20 to 5, version 1.2.3, 50%",
        "@handle and a@b and 0.123456",
        "999.999.999.999",
    ],
)
def test_dates_amounts_and_short_numbers_stay(text: str) -> None:
    assert redact(text).text == text


def test_counts_and_version_are_told() -> None:
    told = redact("a@b.de, c@d.de and 4111 1111 1111 1111")
    assert told.counts == {"card": 1, "email": 2}
    assert told.version == "1"


@pytest.mark.parametrize(
    "unit", ["1 ", "a", "a@", "a.b@c", "DE89", "DE89 3704 ", "1", "(", "+", "1(((", "@.", "a-"]
)
def test_the_work_grows_with_the_length_and_no_faster(unit: str) -> None:
    """Of a quadratic pattern, half a million characters would not end within the test's time."""
    text = unit * (500_000 // len(unit))
    assert len(redact(text).text) <= len(text) + 20
