"""Identifiers and the order of the rows, which a model learns by heart and meets never again.

LEAK-IDENTIFIER and LEAK-ORDER.
"""

import re
from typing import Any

import numpy as np
from scipy.stats import rankdata

from lab.checks.needs import needs_rows, needs_targets
from lab.checks.predictive import Alone, auc_of, best, folds_of, out_of_fold, ways_of_numbers
from lab.checks.result import Check, Finding, issue, listed, passed, tip
from lab.checks.subject import COPY_AUC, Subject
from lab.checks.values import Values

NEAR_UNIQUE = 0.9  # distinct values a known row
COUNTING = 0.95  # rank correlation with the rows' order, of a number that is counted up
NAMED = re.compile(r"(^|_)(id|uuid|guid|key|no|nr|num|number|code|ref|reference|hash)(_|$)")
VALUE_KINDS = frozenset({"number", "log1p", "ratio", "category"})  # others read no single value
ORDER_AUC = 0.6
BLOCKS = 20  # of neighbouring rows: finer ones would follow the noise


def _identifiers(subject: Subject) -> Finding:
    """A decimal number is no identifier; the text that is decided on and the entity are neither."""
    request = subject.spec.request
    found: dict[str, dict[str, Any]] = {}
    for name in subject.rows.fields:
        kind = subject.rows.kind(name)
        if kind not in ("text", "category", "integer") or name in (request.text, request.entity):
            continue
        values = subject.rows.values(name)
        known = int((~values.unknown).sum())
        if known and values.distinct / known > NEAR_UNIQUE:
            found[name] = {
                "distinct": values.distinct,
                "n": known,
                "identifier": kind != "integer" or _counts(subject, name, values),
                "read_by": [
                    feature
                    for feature in subject.readers(name)
                    if subject.features[feature].kind in VALUE_KINDS
                ],
            }
    if not found:
        return passed("no field has a value of its own in nearly every row", fields={})
    read = [name for name, told in found.items() if told["read_by"] and told["identifier"]]
    if read:
        return issue(
            f"features read what is different in nearly every row: {listed(read)}", fields=found
        )
    return tip(f"nearly every row has its own value: {listed(list(found))}", fields=found)


def _counts(subject: Subject, name: str, values: Values) -> bool:
    """Whether a whole number is counted up with the rows, or is named as an identifier."""
    if NAMED.search(name):
        return True
    assert values.numbers is not None
    known = ~values.unknown
    if known.sum() < 3:
        return False
    ranks = rankdata(values.numbers[known])
    return bool(abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) >= COUNTING)


def _order(subject: Subject) -> Finding:
    """The place of a row as the only input, by its rank and by blocks of neighbouring rows."""
    rows = subject.rows
    found = {}
    for target, labels in rows.targets.items():
        places = np.arange(rows.n)
        folds = folds_of(rows.sequence, subject.seed)
        ranked = best(
            [
                way
                for way in ways_of_numbers(places.astype(float), labels, folds)
                if way.by == "rank"
            ]
        )
        blocks = places * BLOCKS // rows.n
        auc = auc_of(out_of_fold(blocks, BLOCKS, labels, folds), labels)
        by_block = Alone(auc=auc, by="block", n=rows.n, positives=int(labels.sum()))
        found[target] = best([*([ranked] if ranked else []), by_block])
    target, way = max(
        ((target, way) for target, way in found.items() if way), key=lambda item: item[1].auc
    )
    figures: dict[str, Any] = {"target": target, **way.figures, "threshold": ORDER_AUC}
    sentence = f"the place of a row alone tells {target} with AUC {way.auc:.3f} (n {rows.n})"
    if way.auc >= COPY_AUC:
        return issue(f"{sentence}: the rows are sorted by it", **figures)
    if way.auc >= ORDER_AUC:
        return tip(f"{sentence}: its rate moves along the rows, or they were sorted", **figures)
    return passed(f"{sentence}, below {ORDER_AUC}", **figures)


CHECKS = (
    Check(
        code="LEAK-IDENTIFIER",
        title="No feature reads an identifier",
        severity="medium",
        way_out="Remove the feature: no later request has a value that was learnt here.",
        judge=_identifiers,
        needs=(needs_rows,),
    ),
    Check(
        code="LEAK-ORDER",
        title="The order of the rows does not tell the label",
        severity="medium",
        way_out="Where the file is sorted by its label, sort it by time: no split of it can be "
        "believed. Else believe the temporal split alone.",
        judge=_order,
        needs=(needs_targets,),
    ),
)
