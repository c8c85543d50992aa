"""Whether the cuts of the split are clear, and the labels were known by then.

LEAK-TIES and LEAK-LABEL-DELAY.
"""

from typing import Any

import numpy as np

from lab.checks.needs import needs_event_time, needs_known_times, needs_rows, needs_split
from lab.checks.result import Check, Finding, insufficient, issue, passed, tip
from lab.checks.subject import Subject
from lab.temporal_split import DAY, delay_rows

LARGE_SHARE = 0.01  # of all rows at one moment: more than a cut by number would part by chance


def _ties(subject: Subject) -> Finding:
    """Training never parts rows of one moment; it begins the next part with all of them."""
    rows, split = subject.rows, subject.rows.split
    moments = rows.moments
    if moments is None:
        return insufficient("not every row has the time of its event", n=rows.n)
    counts = np.unique(moments, return_counts=True)[1]
    tied = [int((moments == moments[part[0]]).sum()) for part in (split.validation, split.test)]
    figures: dict[str, Any] = {
        "cuts": [{"time": cut, "rows": own} for cut, own in zip(split.cuts, tied, strict=True)],
        "moments": len(counts),
        "most_at_one_moment": int(counts.max()),
        "n": rows.n,
        "threshold": LARGE_SHARE,
    }
    told = " and ".join(f"{own} of {cut}" for own, cut in zip(tied, split.cuts, strict=True))
    sentence = f"rows of the very moment of a cut: {told}, of {rows.n} rows"
    if max(tied) > 1 and max(tied) / rows.n >= LARGE_SHARE:
        return tip(f"{sentence}; they are kept together, and their order is unknown", **figures)
    return passed(sentence, **figures)


def _label_delay(subject: Subject) -> Finding:
    """How many rows the embargo leaves out, and how many it would if none is declared."""
    rows, framing = subject.rows, subject.spec.framing
    if subject.spec.request.time is None:
        return issue("request.time is not declared, so no split by time can be made", n=rows.n)
    if rows.parts is None:
        return issue(
            "the declared delay leaves a part of the split without a row whose label was known",
            n=rows.n,
        )
    by_rows = rows.moments is None
    first, second = int(rows.split.validation[0]), int(rows.split.test[0])
    figures: dict[str, Any] = {
        "delay": delay_rows(subject.spec) if by_rows else framing.label_delay_days,
        "unit": "rows" if by_rows else "days",
        "horizon_days": framing.horizon_days,
        "n": rows.n,
        "left_out_before_validation": first - len(rows.split.fit),
        "left_out_before_test": second - first - len(rows.split.validation),
        "within_horizon": sum(
            _within(subject, cut, framing.horizon_days) for cut in (first, second)
        ),
    }
    return _judged_delay(figures)


def _within(subject: Subject, cut: int, days: float) -> int:
    """Rows before a cut whose target still looks beyond it."""
    moments = subject.rows.moments
    if moments is None:
        return 0
    return int((moments[:cut] > moments[cut] - round(days * DAY)).sum())


def _judged_delay(figures: dict[str, Any]) -> Finding:
    delay, unit = figures["delay"], figures["unit"]
    told = (
        f"with a delay of {delay:g} {unit} the embargo leaves out "
        f"{figures['left_out_before_validation']} rows before the validation part and "
        f"{figures['left_out_before_test']} before the test part, of {figures['n']}"
    )
    if delay:
        return passed(told, **figures)
    declared = "label_delay_days" if unit == "days" else "label_delay_rows"
    beyond = (
        f": {figures['within_horizon']} rows before the cuts look beyond them"
        if unit == "days"
        else ""
    )
    return tip(
        f"{declared} is 0, so no row is left out, and the target looks "
        f"{figures['horizon_days']:g} days ahead{beyond}",
        **figures,
    )


CHECKS = (
    Check(
        code="LEAK-TIES",
        title="The cuts of the split are clear in time",
        severity="low",
        way_out="Store times as exactly as they are known, so that what was first stands first.",
        judge=_ties,
        needs=(needs_rows, needs_event_time, needs_split),
    ),
    Check(
        code="LEAK-LABEL-DELAY",
        title="Labels were known when they are learnt",
        severity="medium",
        way_out="Declare after how long a label is known (framing.label_delay_days, or "
        "request.time.label_delay_rows), and bring rows over a longer time.",
        judge=_label_delay,
        needs=(needs_rows, needs_known_times),
    ),
)
