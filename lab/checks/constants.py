"""Fields that say nothing, and values that only the test rows have.

DATA-CONSTANT and DATA-UNSEEN.
"""

from typing import Any

import numpy as np

from lab.checks.needs import needs_rows, needs_split
from lab.checks.result import Check, Finding, issue, listed, not_applicable, passed, tip
from lab.checks.subject import Subject
from lab.intervals import share

LARGE_SHARE = 0.01  # of the test rows; a model has no effect of such a value to go by


def _constant(subject: Subject) -> Finding:
    found: dict[str, dict[str, Any]] = {}
    for name in subject.rows.fields:
        values = subject.rows.values(name)
        unknown = int(values.unknown.sum())
        if unknown == subject.rows.n or (not unknown and values.distinct == 1):
            found[name] = {
                "unknown": unknown,
                "n": subject.rows.n,
                "read_by": subject.readers(name),
            }
    if not found:
        return passed(f"every field varies over {subject.rows.n} rows", fields={})
    told = [
        f"{name} ({'all unknown' if one['unknown'] else 'one value'})"
        for name, one in found.items()
    ]
    sentence = f"the same in all {subject.rows.n} rows: {listed(told)}"
    read = any(one["read_by"] for one in found.values())
    return issue(sentence, fields=found) if read else tip(sentence, fields=found)


def _unseen(subject: Subject) -> Finding:
    rows, fields = (
        subject.rows,
        [n for n in subject.rows.fields if subject.rows.kind(n) == "category"],
    )
    if not fields:
        return not_applicable("no field is a category")
    found: dict[str, dict[str, Any]] = {}
    for name in fields:
        values = rows.values(name)
        assert values.codes is not None
        fit, test = values.codes[rows.split.fit], values.codes[rows.split.test]
        new = (test >= 0) & ~np.isin(test, fit)
        if new.mean() >= LARGE_SHARE:
            found[name] = {
                "share": share(new),
                "values": [values.levels[code] for code in np.unique(test[new])],
                "read_by": subject.readers(name),
            }
    figures = {"fields": found, "compared": len(fields), "threshold": LARGE_SHARE}
    if not found:
        return passed(
            f"in none of {len(fields)} categories are {LARGE_SHARE:.0%} of the test rows of a "
            "value that no fit row has",
            **figures,
        )
    told = [f"{name} ({one['share']['mean']:.1%} of the test rows)" for name, one in found.items()]
    sentence = f"values that no fit row has: {listed(told)}"
    read = any(one["read_by"] for one in found.values())
    return issue(sentence, **figures) if read else tip(sentence, **figures)


CHECKS = (
    Check(
        code="DATA-CONSTANT",
        title="No field is the same in every row",
        severity="low",
        way_out="Leave the field out, or find out why the table has one value of it.",
        judge=_constant,
        needs=(needs_rows,),
    ),
    Check(
        code="DATA-UNSEEN",
        title="The fit rows have every category that the test rows have",
        severity="medium",
        way_out="Group rare values, or bring rows of the new ones before a model decides on them.",
        judge=_unseen,
        needs=(needs_rows, needs_split),
    ),
)
