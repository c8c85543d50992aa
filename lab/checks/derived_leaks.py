"""LEAK-DERIVED: two fields that are honest alone and give the target away together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lab.checks.dates import assembled_dates
from lab.checks.needs import needs_targets
from lab.checks.predictive import best, enough, folds_of, sampled, ways_of_numbers
from lab.checks.result import Check, Finding, issue, listed, not_applicable, passed
from lab.checks.subject import COPY_AUC, Subject
from lab.checks.values import Codes, Floats

PAIR_ROWS = 50_000
MOST_NUMBERS = 12  # 66 pairs; beyond it they take longer than all other checks
LEAST_ALONE = 0.6  # of either; two numbers that know nothing seldom know it together


@dataclass(frozen=True, kw_only=True)
class Combination:
    """`values` of the rows at `places`, made of two halves, which are made of `columns`.

    A ratio is unknown where its lower half is 0, which selects rows; then only all of them count.
    """

    name: str
    columns: tuple[str, ...]
    halves: Mapping[str, Floats]
    values: Floats
    places: Codes
    over_all_rows: bool = False


def _judge(subject: Subject) -> Finding:
    dates = _dates(subject)
    found: dict[str, dict[str, Any]] = {}
    compared: set[str] = set()
    for target in subject.rows.targets:
        for made in (*_differences(subject, dates), *_of_numbers(subject, target)):
            compared.add(made.name)
            told = _told(subject, target, made)
            if told and told["auc"] >= found.get(made.name, told)["auc"]:
                found[made.name] = told
    figures: dict[str, Any] = {
        "threshold": COPY_AUC,
        "compared": len(compared),
        "dates": {name: list(parts) for name, (parts, _) in dates.items()},
        "combinations": found,
    }
    if not compared:
        return not_applicable("there are no two dates or strong numbers to combine", **figures)
    if not found:
        return passed(
            f"none of {len(compared)} differences and ratios tells the target with an AUC of "
            f"{COPY_AUC} or more",
            **figures,
        )
    strongest = sorted(found.items(), key=lambda item: (-item[1]["auc"], item[0]))
    sentences = [f"{name} (AUC {one['auc']:.4f}{_alone(one)})" for name, one in strongest]
    return issue(f"together they give the target away: {listed(sentences)}", **figures)


def _alone(told: dict[str, Any]) -> str:
    return "".join(f"; {half} alone {own['auc']:.2f}" for half, own in told["alone"].items())


def _dates(subject: Subject) -> dict[str, tuple[tuple[str, ...], Floats]]:
    """Times, and dates assembled from columns: their columns and days since 1970, by name."""
    rows = subject.rows
    columns = {name: rows.values(name) for name in rows.fields if name not in subject.copies}
    found: dict[str, tuple[tuple[str, ...], Floats]] = {
        name: ((name,), values.numbers)
        for name, values in columns.items()
        if values.kind == "time" and values.numbers is not None
    }
    pieces = {name: values for name, values in columns.items() if values.kind != "time"}
    for date in assembled_dates(pieces):
        name = date.name if date.name not in found else f"{date.name} (assembled)"
        found[name] = (date.parts, date.days)
    return found


def _differences(
    subject: Subject, dates: dict[str, tuple[tuple[str, ...], Floats]]
) -> Iterator[Combination]:
    """Days between every two dates."""
    places = subject.sample
    for (one, (left, from_days)), (other, (right, to_days)) in combinations(dates.items(), 2):
        halves = {one: from_days[places], other: to_days[places]}
        yield Combination(
            name=f"{one} - {other}",
            columns=(*left, *right),
            halves=halves,
            values=halves[one] - halves[other],
            places=places,
        )


def _of_numbers(subject: Subject, target: str) -> Iterator[Combination]:
    """Difference and ratio of every two of the numbers that tell the target best alone."""
    rows = subject.rows
    alone = {
        name: way.auc
        for name, ways in subject.alone[target].items()
        if rows.values(name).kind in ("number", "integer")
        and name not in subject.copies
        and (way := best(ways))
    }
    strongest = sorted(alone, key=lambda name: (-alone[name], name))[:MOST_NUMBERS]
    places = sampled(rows.sequence, PAIR_ROWS, subject.seed)
    for one, other in combinations(strongest, 2):
        if max(alone[one], alone[other]) < LEAST_ALONE:
            continue
        halves = {name: _numbers(subject, name, places) for name in (one, other)}
        for sign, values in (
            ("-", halves[one] - halves[other]),
            ("/", _ratio(halves[one], halves[other])),
        ):
            yield Combination(
                name=f"{one} {sign} {other}",
                columns=(one, other),
                halves=halves,
                values=values,
                places=places,
                over_all_rows=sign == "/",
            )


def _numbers(subject: Subject, name: str, places: Codes) -> Floats:
    numbers = subject.rows.values(name).numbers
    assert numbers is not None
    return numbers[places]


def _ratio(above: Floats, below: Floats) -> Floats:
    """Unknown where `below` is 0 or the ratio is beyond what a double holds."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio: Floats = above / below
    ratio[~np.isfinite(ratio)] = np.nan
    return ratio


def _told(subject: Subject, target: str, made: Combination) -> dict[str, Any] | None:
    """None below the threshold."""
    positive = subject.rows.targets[target][made.places]
    if not enough(positive):
        return None
    folds = folds_of(subject.rows.sequence[made.places], subject.seed)
    ways = ways_of_numbers(made.values, positive, folds)
    way = best(ways, over_all_rows=made.over_all_rows)
    if way is None or way.auc < COPY_AUC:
        return None
    alone = {
        half: own.figures
        for half, values in made.halves.items()
        for own in ways_of_numbers(values, positive, folds)
        if own.by == way.by
    }
    return {
        "target": target,
        **way.figures,
        "rows": subject.rows.n,
        "columns": list(made.columns),
        "alone": alone,
    }


CHECKS = (
    Check(
        code="LEAK-DERIVED",
        title="No difference or ratio of two fields gives the target away",
        severity="high",
        way_out="Declare available: false what is written after the event; the other may stay.",
        judge=_judge,
        needs=(needs_targets,),
    ),
)
