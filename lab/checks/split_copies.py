"""The same thing on both sides of the split: rows, texts that hardly differ, entities.

LEAK-DUPLICATES, LEAK-NEAR-DUPLICATES and LEAK-ENTITY.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lab.checks.near_texts import NEAR, near_copies
from lab.checks.needs import needs_rows, needs_split
from lab.checks.predictive import sampled
from lab.checks.result import Check, Finding, insufficient, issue, not_applicable, passed, tip
from lab.checks.subject import Rows, Subject
from lab.checks.values import Codes
from lab.folds import normalised
from lab.intervals import share

LARGE_SHARE = 0.01  # of the test rows; below it a figure moves by less than its interval
FEW_DISTINCT = 0.5  # distinct rows a row; below it copies are how such a table is
MOST_TEXTS = 20_000  # distinct ones, of either side; some ten seconds


def _duplicates(subject: Subject) -> Finding:
    rows, parts = subject.rows, subject.rows.split
    names = _inputs(subject)
    if not names:
        return not_applicable("no declared input is held by the snapshot")
    key = _row_keys(rows, names, text=subject.spec.request.text)
    copied = np.isin(key[parts.test], key[parts.fit])
    figures: dict[str, Any] = {
        "share": share(copied),
        "fit": len(parts.fit),
        "test": len(parts.test),
        "distinct": int(key.max()) + 1,
        "rows": rows.n,
        "inputs": names,
        "same_label": _same_label(rows, key, copied),
        "threshold": LARGE_SHARE,
    }
    told = f"{copied.mean():.2%} of {len(parts.test)} test rows have a copy among the fit rows"
    if copied.mean() < LARGE_SHARE:
        return passed(told, **figures)
    if figures["distinct"] / rows.n < FEW_DISTINCT:
        return tip(f"{told}, as few different rows exist ({figures['distinct']})", **figures)
    return issue(told, **figures) if subject.spec.by_text else tip(told, **figures)


def _inputs(subject: Subject) -> list[str]:
    """What the models read: the text and the sources of the features; all fields without any."""
    request = subject.spec.request
    read = {source for feature in subject.features.values() for source in feature.sources}
    if request.text:
        read.add(request.text)
    return [
        name
        for name in subject.rows.fields
        if name in read and name not in (request.entity, request.time_field)
    ]


def _row_keys(rows: Rows, names: list[str], *, text: str | None) -> Codes:
    """Equal numbers for rows that are equal in all of `names`, a text but for case and space."""
    key: Codes = np.zeros(rows.n, dtype=np.intp)
    for name in names:
        codes, places = _text_codes(rows, name) if name == text else rows.values(name).as_codes()
        key = np.unique(key * places + codes, return_inverse=True)[1]
    return key


def _text_codes(rows: Rows, name: str) -> tuple[Codes, int]:
    """The same place for texts that are the same when normalised."""
    codes, places = rows.values(name).as_codes()
    plain = [normalised(level) for level in rows.values(name).levels]
    place_of = {level: place for place, level in enumerate(sorted(set(plain)))}
    merged = np.array([*(place_of[level] for level in plain), len(place_of)], dtype=np.intp)
    return merged[codes], places


def _same_label(rows: Rows, key: Codes, copied: npt.NDArray[np.bool_]) -> dict[str, float] | None:
    """How often a copy has the label that most of its copies among the fit rows have."""
    if rows.label is None or not copied.any():
        return None
    fit, test = rows.split.fit, rows.split.test[copied]
    size = int(key.max()) + 1
    positives = np.bincount(key[fit], rows.label[fit], size)[key[test]]
    copies = np.bincount(key[fit], minlength=size)[key[test]]
    return share((positives / copies >= 0.5) == rows.label[test])


def _near_duplicates(subject: Subject) -> Finding:
    rows, name = subject.rows, subject.spec.request.text
    if name is None or not rows.has(name):
        return not_applicable("requests have no text")
    sides = [_distinct_texts(subject, part) for part in (rows.split.fit, rows.split.test)]
    among, asked = (texts for texts, _ in sides)
    if not among or not asked:
        return insufficient("one side of the split has no texts")
    known = set(among)
    new = [text for text in asked if text not in known]
    found = near_copies(new, among) if new else []
    near = {text for text, _, _ in found}
    figures: dict[str, Any] = {
        "share": share(np.array([text in near for text in asked])),
        "fit_texts": len(among),
        "test_texts": len(asked),
        "sampled": any(cut for _, cut in sides),
        "similarity": NEAR,
        "threshold": LARGE_SHARE,
    }
    told = (
        f"{len(near) / len(asked):.1%} of {len(asked)} different test texts share {NEAR:.0%} of "
        f"their 5-grams with another text among {len(among)} fit texts"
    )
    return (
        issue(told, **figures) if len(near) / len(asked) >= LARGE_SHARE else passed(told, **figures)
    )


def _distinct_texts(subject: Subject, part: Codes) -> tuple[list[str], bool]:
    """Normalised, in the order of their text; and whether they are a sample."""
    rows = subject.rows
    places = sampled(rows.sequence[part], MOST_TEXTS, subject.seed)
    values = rows.values(str(subject.spec.request.text))
    assert values.codes is not None
    codes = np.unique(values.codes[part[places]])
    texts = {normalised(values.levels[code]) for code in codes if code >= 0}
    return sorted(texts - {""}), len(places) < len(part)


def _entity(subject: Subject) -> Finding:
    rows, name = subject.rows, subject.spec.request.entity
    if name is None or not rows.has(name):
        return not_applicable("requests name no entity")
    codes = rows.values(name).codes
    assert codes is not None
    fit, test = codes[rows.split.fit], codes[rows.split.test]
    test = test[test >= 0]
    if not len(test):
        return insufficient("no test row names its entity", test=len(rows.split.test))
    shared = np.isin(test, fit[fit >= 0])
    figures = {
        "share": share(shared),
        "entities": len(np.unique(codes[codes >= 0])),
        "shared_entities": len(np.unique(test[shared])),
        "rows": rows.n,
    }
    told = f"{shared.mean():.1%} of {len(test)} test rows are of an entity that fit rows show too"
    return tip(told, **figures) if shared.any() else passed(told, **figures)


CHECKS = (
    Check(
        code="LEAK-DUPLICATES",
        title="Test rows are no copies of fit rows",
        severity="medium",
        way_out="Remove copies before training, or read the figures of the rows without a copy.",
        judge=_duplicates,
        needs=(needs_rows, needs_split),
    ),
    Check(
        code="LEAK-NEAR-DUPLICATES",
        title="Test texts are not nearly those of fit rows",
        severity="medium",
        way_out="Remove templates and resent messages, or keep each in one part of the split.",
        judge=_near_duplicates,
        needs=(needs_rows, needs_split),
    ),
    Check(
        code="LEAK-ENTITY",
        title="No entity is on both sides of the split",
        severity="low",
        way_out="Believe intervals that resample whole entities; never split these rows at random.",
        judge=_entity,
        needs=(needs_rows, needs_split),
    ),
)
