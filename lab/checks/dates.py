"""Dates that a table holds in pieces: a year, a month and a day under names of one stem."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lab.checks.values import Floats, Values, as_days, to_number

ROLES = {
    "year": r"year|yyyy|yr",
    "day": r"day_of_month|day_of_the_month|dayofmonth|day|dom",  # before month: it ends so too
    "month": r"month|mon",
}
RANGES = {"year": (1900, 2200), "month": (1, 12), "day": (1, 31)}
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
LEAST_FITTING = 0.99  # of the known values; a few typing errors make no other column of it


@dataclass(frozen=True, kw_only=True)
class AssembledDate:
    """`parts` are the columns of year, month and day; without a day it is the month's first."""

    name: str
    parts: tuple[str, ...]
    days: Floats


def assembled_dates(columns: Mapping[str, Values]) -> list[AssembledDate]:
    """Every stem with a year and a month whose values are such, in the order of the stems."""
    stems: dict[str, dict[str, str]] = {}
    for name in columns:
        for role in ROLES:
            stem = _stem(name, role)
            if stem is not None:
                stems.setdefault(stem, {}).setdefault(role, name)
                break
    found = []
    for stem, parts in sorted(stems.items()):
        if not {"year", "month"} <= set(parts):
            continue
        read = {role: _part(role, columns[name]) for role, name in parts.items()}
        if all(_fits(role, numbers) for role, numbers in read.items()):
            day = read.get("day", np.ones_like(read["year"]))
            days = as_days(read["year"], read["month"], day)
            found.append(AssembledDate(name=stem or "date", parts=tuple(parts.values()), days=days))
    return found


def _stem(name: str, role: str) -> str | None:
    """`arrival_date_year` and `year_of_arrival_date` have the stem `arrival_date`."""
    words = ROLES[role]
    for pattern in (rf"(?:(.+)_)?(?:{words})", rf"(?:{words})(?:_of)?_(.+)"):
        matched = re.fullmatch(pattern, name)
        if matched:
            return matched.group(1) or ""
    return None


def _part(role: str, values: Values) -> Floats:
    """As numbers; a month may be an English name or its first three letters."""
    if values.numbers is not None:
        return values.numbers
    assert values.codes is not None
    levels = [(_month(level) if role == "month" else to_number(level)) for level in values.levels]
    return np.array([*levels, np.nan], dtype=np.float64)[values.codes]


def _month(text: str) -> float:
    word = text.strip().casefold().rstrip(".")
    for number, month in enumerate(MONTHS, start=1):
        if word in (month, month[:3]):
            return float(number)
    return to_number(text)


def _fits(role: str, numbers: Floats) -> bool:
    known = numbers[~np.isnan(numbers)]
    low, high = RANGES[role]
    return bool(len(known) and ((known >= low) & (known <= high)).mean() >= LEAST_FITTING)
