"""Takes personal data out of a text: the same text always gives the same, in training and serving.

Every pattern is a run of one set of characters that is judged afterwards, so that no input makes it
backtrack, and a doubt is settled for privacy: a number of 13 digits or more never survives.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "1"  # models are fitted on what this made; any change of it is another version
# A card with date and check number around it is far shorter; a longer row is `<digits>` unread.
MOST_DIGITS_READ = 64

# Between the digits of one number: spaces, dashes, dots, slashes, brackets, and what does not show.
_BETWEEN = r"[ \t./()_\-\u00a0\u00ad\u2007\u2009-\u2015\u202f\u2060\u2212\ufeff]"
_SEQUENCE = re.compile(rf"[+(]{{0,2}}\d(?:{_BETWEEN}{{0,3}}\d)*")
_GROUP = re.compile(r"\d+")
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}|\d{4}[./-]\d{2}[./-]\d{2}")
_IP = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
_NORTH_AMERICAN = re.compile(r"(?:1[ .-])?\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}")

_WORD_AROUND_AT = re.compile(r"[\w.+%'@-]+")
_ADDRESS = re.compile(r"[^@]@[^@.]+\.[^@.]")

_IBAN_START = re.compile(r"[A-Za-z]{2}[0-9]{2}")
# Lengths by country: the IBAN registry of ISO 13616.
_IBAN_LENGTH = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Redacted:
    """`counts` says how many of each kind were taken out: email, iban, card, phone, …"""

    text: str
    counts: Mapping[str, int]
    version: str = VERSION


def redact(text: str) -> Redacted:
    """Each piece of personal data as a typed placeholder such as `<card>`.

    Redacting twice changes nothing. Names and addresses of streets are not recognised.
    """
    counts: Counter[str] = Counter()
    if "@" in text:
        text = _WORD_AROUND_AT.sub(lambda found: _address(found[0], counts), text)
    text = _without_ibans(text, counts)
    text = _SEQUENCE.sub(lambda found: _number(found[0], counts), text)
    return Redacted(text=text, counts=dict(sorted(counts.items())))


def _address(word: str, counts: Counter[str]) -> str:
    if not _ADDRESS.search(word):
        return word
    counts["email"] += 1
    start = len(word) - len(word.lstrip(".'-"))
    end = len(word.rstrip(".'-"))
    return f"{word[:start]}<email>{word[end:]}"


def _without_ibans(text: str, counts: Counter[str]) -> str:
    kept: list[str] = []
    done = position = 0
    while found := _IBAN_START.search(text, position):
        end = _iban_end(text, found.start())
        if end is None:
            position = found.start() + 1
            continue
        counts["iban"] += 1
        kept += text[done : found.start()], "<iban>"
        done = position = end
    return "".join(kept) + text[done:]


def _iban_end(text: str, start: int) -> int | None:
    """Where the IBAN that begins at `start` ends; it is written compactly or in groups of four."""
    length = _IBAN_LENGTH.get(text[start : start + 2].upper())
    if length is None:
        return None
    compact = text[start : start + length]
    grouped_length = length + (length - 1) // 4
    grouped = text[start : start + grouped_length]
    if _is_iban(compact, length):
        return start + length
    if all(grouped[place : place + 1] in tuple(" -\u00a0") for place in range(4, len(grouped), 5)):
        parts = "".join(grouped[place : place + 4] for place in range(0, len(grouped), 5))
        if _is_iban(parts, length):
            return start + grouped_length
    return None


def _is_iban(candidate: str, length: int) -> bool:
    if len(candidate) != length or not (candidate.isascii() and candidate.isalnum()):
        return False
    moved = candidate[4:] + candidate[:4]
    return int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def _number(sequence: str, counts: Counter[str]) -> str:
    kind = _kind(sequence)
    if kind is None:
        return sequence
    counts[kind] += 1
    return f"<{kind}>"


def _kind(sequence: str) -> str | None:
    groups = _GROUP.findall(sequence)
    digits = sum(map(len, groups))
    if _IP.fullmatch(sequence) and all(int(group) < 256 for group in groups):
        return "ip"
    if _SSN.fullmatch(sequence):
        return "ssn"
    if "+" in sequence[:2] and 7 <= digits <= 15:
        return "phone"
    if 13 <= digits <= MOST_DIGITS_READ and _holds_card(groups):
        return "card"
    if _is_local_phone(sequence, digits):
        return "phone"
    if digits >= 13 or max(map(len, groups)) >= 9:
        return "digits"
    return None


def _is_local_phone(sequence: str, digits: int) -> bool:
    if _NORTH_AMERICAN.fullmatch(sequence):
        return True
    if _DATE.match(sequence) or sequence.startswith("0."):
        return False
    start = sequence.lstrip("(")
    return start.startswith("0") and 9 <= digits <= (15 if start.startswith("00") else 12)


def _holds_card(groups: list[str]) -> bool:
    """Whether whole groups in a row make a number of 13 to 19 digits that Luhn's sum admits."""
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > 19:
                break
            if len(number) >= 13 and _luhn(number):
                return True
    return False


def _luhn(number: str) -> bool:
    total = 0
    for place, sign in enumerate(reversed(number)):
        digit = int(sign)
        if place % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0
