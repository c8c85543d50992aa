"""Whether there is something to learn, and whether it stays as common as it was.

DATA-ONE-CLASS and DATA-BASE-RATE.
"""

import math

from scipy.stats import chi2_contingency

from lab.checks.needs import needs_label, needs_label_column, needs_rows, needs_split
from lab.checks.predictive import LEAST_OF_EACH
from lab.checks.result import Check, Finding, insufficient, issue, passed, tip
from lab.checks.subject import Subject
from lab.checks.values import Codes
from lab.intervals import share

SMALL_EFFECT = 0.2  # Cohen's h (1988, ch. 6): 5 % against 10 %, or 50 % against 60 %
ALPHA = 0.01


def _one_class(subject: Subject) -> Finding:
    label = subject.rows.label
    assert label is not None
    positives, n = int(label.sum()), len(label)
    figures = {"share": share(label), "positives": positives, "n": n}
    if positives in (0, n):
        return issue(f"all {n} labels are {'positive' if positives else 'negative'}", **figures)
    if min(positives, n - positives) < LEAST_OF_EACH:
        return insufficient(
            f"{positives} of {n} labels are positive, and {LEAST_OF_EACH} of either kind are the "
            "least",
            **figures,
        )
    shares = {name: float(label[places].mean()) for name, places in _parts(subject).items()}
    lacking = [name for name, part in shares.items() if part in (0, 1)]
    if lacking:
        return issue(
            f"one kind of label alone in part of the split: {', '.join(lacking)}",
            **figures,
            parts=lacking,
        )
    return passed(f"{positives} of {n} labels are positive", **figures)


def _base_rate(subject: Subject) -> Finding:
    label, parts = subject.rows.label, _parts(subject)
    assert label is not None
    rates = {name: share(label[places]) for name, places in parts.items()}
    means = [one["mean"] for one in rates.values()]
    table = [[int(label[p].sum()), len(p) - int(label[p].sum())] for p in parts.values()]
    effect = 2 * abs(math.asin(math.sqrt(max(means))) - math.asin(math.sqrt(min(means))))
    p_value = float(chi2_contingency(table).pvalue)
    figures = {"parts": rates, "effect": effect, "threshold": SMALL_EFFECT, "p_value": p_value}
    told = ", ".join(f"{name} {one['mean']:.1%} (n {one['n']:.0f})" for name, one in rates.items())
    if effect >= SMALL_EFFECT and p_value < ALPHA:
        return tip(f"the positive label is not as common in every part: {told}", **figures)
    return passed(f"the share of positive labels stays: {told}", **figures)


def _parts(subject: Subject) -> dict[str, Codes]:
    split = subject.rows.parts
    if split is None:
        return {}
    return {"fit": split.fit, "validation": split.validation, "test": split.test}


CHECKS = (
    Check(
        code="DATA-ONE-CLASS",
        title="Labels are of both kinds",
        severity="high",
        way_out="See risk.positive, and bring rows of either label over the whole time.",
        judge=_one_class,
        needs=(needs_rows, needs_label_column),
    ),
    Check(
        code="DATA-BASE-RATE",
        title="The positive label is as common in every part of the split",
        severity="low",
        way_out="Believe the temporal split, calibrate on recent rows, and watch the rate in use.",
        judge=_base_rate,
        needs=(needs_label, needs_split),
    ),
)
