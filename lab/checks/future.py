"""LEAK-FUTURE: no value was known, and no time lies, after the event that it is read for."""

from typing import Any

import numpy as np

from lab.checks.needs import needs_event_time, needs_rows
from lab.checks.result import Check, Finding, issue, listed, passed, tip
from lab.checks.subject import Subject
from lab.intervals import share

LARGE_SHARE = 0.05  # of the rows; a few clocks that are wrong stay below it


def _judge(subject: Subject) -> Finding:
    known_at, undeclared = _known_at(subject)
    later = _later_times(subject)
    figures = {
        "known_at": known_at,
        "without_their_column": undeclared,
        "later_times": later,
        "threshold": LARGE_SHARE,
    }
    late = [name for name, told in known_at.items() if told["later"]["mean"] > 0]
    read = [name for name, told in later.items() if told["read_by"]]
    if late:
        shares = [f"{name} ({known_at[name]['later']['mean']:.2%} of the rows)" for name in late]
        return issue(f"became known after the event: {listed(shares)}", **figures)
    if read:
        return issue(
            f"features read times that lie after the event: {listed(_told(later, read))}", **figures
        )
    if later:
        return tip(
            f"times that lie after the event: {listed(_told(later, list(later)))}", **figures
        )
    if undeclared:
        return tip(
            f"known_at names no time that the snapshot holds: {listed(undeclared)}",
            **figures,
        )
    return passed("no value became known after its event, and no field is a later time", **figures)


def _told(later: dict[str, Any], names: list[str]) -> list[str]:
    return [f"{name} ({later[name]['share']['mean']:.1%} of the rows)" for name in names]


def _known_at(subject: Subject) -> tuple[dict[str, Any], list[str]]:
    """Shares of the rows whose value became known after the event; and what cannot be judged."""
    rows, fields = subject.rows, subject.spec.request.fields
    events = rows.times
    assert events is not None
    found: dict[str, Any] = {}
    undeclared = []
    for name in rows.request_fields:
        column = fields[name].known_at
        if column is None:
            continue
        if not rows.has(column) or rows.kind(column) != "time":
            undeclared.append(name)
            continue
        known = rows.values(column).numbers
        assert known is not None
        both = ~np.isnan(known) & ~np.isnan(events)
        if both.any():
            found[name] = {
                "known_at": column,
                "later": share(known[both] > events[both]),
                "days_at_most": float((known - events)[both].max()),
                "read_by": subject.readers(name),
            }
    return found, undeclared


def _later_times(subject: Subject) -> dict[str, Any]:
    """Times that lie after the event in many rows, without a declaration of when they are known."""
    rows, fields = subject.rows, subject.spec.request.fields
    events = rows.times
    assert events is not None
    stamps = {field.known_at for field in fields.values()}
    found: dict[str, Any] = {}
    for name in rows.request_fields:
        field = fields[name]
        if field.type != "time" or name == subject.spec.request.time_field or name in stamps:
            continue
        times = rows.values(name).numbers
        assert times is not None
        both = ~np.isnan(times) & ~np.isnan(events)
        if field.known_at is None and both.any():
            later = share(times[both] > events[both])
            if later["mean"] > LARGE_SHARE:
                found[name] = {"share": later, "read_by": subject.readers(name)}
    return found


CHECKS = (
    Check(
        code="LEAK-FUTURE",
        title="No value comes from after the event",
        severity="high",
        way_out="Declare the field available: false, or name in known_at when it became known "
        "and keep only rows where that is before the event.",
        judge=_judge,
        needs=(needs_rows, needs_event_time),
    ),
)
