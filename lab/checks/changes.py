"""What has changed from one snapshot of a decision to another, beyond chance and by how much.

DATA-NULLS-CHANGED, DATA-VALUES-CHANGED and DATA-SHIFTED. Each asks all fields at once, so that at
most 5 % of what it names is there by chance (Benjamini-Hochberg).
"""

from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from lab.checks.needs import needs_earlier
from lab.checks.predictive import sampled
from lab.checks.result import Check, Finding, issue, listed, passed, tip
from lab.checks.subject import Rows, Subject, taken
from lab.checks.values import Codes, Values
from lab.intervals import share
from lab.statistics.drift import PSI_EFFECT, Sample, judge_drift
from lab.statistics.multiple import benjamini_hochberg

ALPHA = 0.05
NULL_EFFECT = 0.05  # of the rows
BEGAN = 0.01  # of the rows, where one snapshot has none: a policy, not a fluctuation
TOOK_OVER = 0.8  # of what unknown values lost or gained; then one value stands for unknown
VALUE_EFFECT = 0.01  # of the rows, of a value that the other snapshot has not
SHIFT_ROWS = 20_000  # a PSI of 0.1 is known to some hundredths there


def _fields(subject: Subject) -> list[str]:
    """Common to both, and held in the same type."""
    before, after = _earlier(subject), subject.rows
    return [
        name for name in after.fields if before.has(name) and before.kind(name) == after.kind(name)
    ]


def _earlier(subject: Subject) -> Rows:
    assert subject.earlier is not None  # needs_earlier held
    return subject.earlier


def _nulls(subject: Subject) -> Finding:
    before, after = _earlier(subject), subject.rows
    names = _fields(subject)
    unknown = {name: (before.values(name).unknown, after.values(name).unknown) for name in names}
    p_values = [
        _p_value(int(was.sum()), before.n, int(now.sum()), after.n) for was, now in unknown.values()
    ]
    found: dict[str, dict[str, Any]] = {}
    q_values = benjamini_hochberg(p_values)[0]
    for (name, sides), q in zip(unknown.items(), q_values, strict=True):
        was, now = (float(side.mean()) for side in sides)
        least = BEGAN if min(was, now) == 0 else NULL_EFFECT
        if q <= ALPHA and abs(now - was) >= least:
            found[name] = {
                "before": share(sides[0]),
                "after": share(sides[1]),
                "q_value": float(q),
                "stands_for_unknown": _stands_for(before.values(name), after.values(name)),
            }
    figures = {
        "earlier": before.snapshot.id,
        "fields": found,
        "compared": len(names),
        "threshold": NULL_EFFECT,
        "threshold_began": BEGAN,
    }
    if not found:
        return passed(f"as many values are unknown as were, in {len(names)} fields", **figures)
    told = [
        f"{name} ({one['before']['mean']:.1%} -> {one['after']['mean']:.1%}"
        + (f", {one['stands_for_unknown']} in their place)" if one["stands_for_unknown"] else ")")
        for name, one in found.items()
    ]
    return issue(f"another share of the values is unknown: {listed(told)}", **figures)


def _p_value(found: int, of: int, found_there: int, of_those: int) -> float:
    table = [[found, of - found], [found_there, of_those - found_there]]
    return float(fisher_exact(table).pvalue)


def _stands_for(before: Values, after: Values) -> str | None:
    """The value that took the place of unknown ones, or that they took."""
    was, now = before.shares(), after.shares()
    moved = float(before.unknown.mean()) - float(after.unknown.mean())
    gains = {value: now.get(value, 0.0) - was.get(value, 0.0) for value in sorted({*was, *now})}
    if not gains:
        return None
    value, gain = max(gains.items(), key=lambda item: item[1] * np.sign(moved))
    return value if gain / moved >= TOOK_OVER else None


def _values(subject: Subject) -> Finding:
    before, after = _earlier(subject), subject.rows
    categories = [name for name in _fields(subject) if after.kind(name) == "category"]
    new, gone = _appeared(before, after, categories), _appeared(after, before, categories)
    retyped = {
        name: {"before": before.stored(name), "after": after.stored(name)}
        for name in after.fields
        if before.has(name) and before.stored(name) != after.stored(name)
    }
    figures: dict[str, Any] = {
        "earlier": before.snapshot.id,
        "new_values": new,
        "vanished_values": gone,
        "retyped": retyped,
        "added": sorted(set(after.names) - set(before.names)),
        "removed": sorted(set(before.names) - set(after.names)),
        "schema_version_changed": before.schema_version != after.schema_version,
        "compared": len(categories),
        "threshold": VALUE_EFFECT,
    }
    if new or gone or retyped:
        told = [f"{name} now has {listed(list(values))}" for name, values in new.items()]
        told += [f"{name} no longer has {listed(list(values))}" for name, values in gone.items()]
        told += [f"{name} is of another type" for name in retyped]
        return issue(f"values are written otherwise: {'; '.join(told)}", **figures)
    if figures["added"] or figures["removed"] or figures["schema_version_changed"]:
        return tip("decision.yaml reads the table otherwise than it did", **figures)
    return passed(f"the values of {len(categories)} categories are those that were", **figures)


def _appeared(base: Rows, other: Rows, names: list[str]) -> dict[str, dict[str, float]]:
    """Values, with their share of the rows of `other`, that `base` has not and not by chance."""
    candidates: dict[str, dict[str, float]] = {}
    p_values = []
    for name in names:
        known, found = base.values(name).shares(), other.values(name).shares()
        new = {v: s for v, s in found.items() if v not in known and s >= VALUE_EFFECT}
        if new:
            candidates[name] = new
        # Any of its values might have been the new one.
        most = round(max(new.values(), default=0.0) * other.n)
        p_values.append(min(1.0, len(found) * _p_value(most, other.n, 0, base.n)))
    beyond = dict(zip(names, benjamini_hochberg(p_values)[0] <= ALPHA, strict=True))
    return {name: values for name, values in candidates.items() if beyond[name]}


def _shifted(subject: Subject) -> Finding:
    before, after = _earlier(subject), subject.rows
    names = [name for name in _fields(subject) if after.kind(name) != "text"]
    names = [n for n in names if n != subject.spec.request.time_field]  # it moves by itself
    then, now = (sampled(rows.sequence, SHIFT_ROWS, subject.seed) for rows in (before, after))
    samples = [
        Sample(feature=name, reference=_known(before, name, then), current=_known(after, name, now))
        for name in names
    ]
    verdicts = judge_drift(samples, alpha=ALPHA)
    found = {
        one.feature: {
            "psi": one.psi_excess,
            "ks": one.ks,
            "q_value": min(q for q in (one.psi_q, one.ks_q) if q is not None),
            "before": one.reference,
            "after": one.current,
        }
        for one in verdicts
        if one.verdict == "drift"
    }
    few = [one.feature for one in verdicts if one.verdict == "insufficient data"]
    figures = {
        "earlier": before.snapshot.id,
        "fields": found,
        "compared": len(names) - len(few),
        "insufficient": few,
        "threshold": PSI_EFFECT,
    }
    if not found:
        return passed(f"{len(names) - len(few)} fields are distributed as they were", **figures)
    told = [f"{name} (PSI {one['psi']:.2f})" for name, one in found.items()]
    return tip(f"distributed otherwise than before: {listed(told)}", **figures)


def _known(rows: Rows, name: str, places: Codes) -> Any:
    """What is known of those rows; how much is unknown is another check's."""
    values = taken(rows.values(name), places)
    if values.numbers is not None:
        return values.numbers[~values.unknown]
    assert values.codes is not None
    return np.array(values.levels, dtype=object)[values.codes[~values.unknown]]


CHECKS = (
    Check(
        code="DATA-NULLS-CHANGED",
        title="As many values are unknown as in the other snapshot",
        severity="medium",
        way_out="Ask whoever writes the table what unknown is written as since then.",
        judge=_nulls,
        needs=(needs_earlier,),
    ),
    Check(
        code="DATA-VALUES-CHANGED",
        title="Values are written as in the other snapshot",
        severity="medium",
        way_out="Write the old rows as the new ones are, or fit on the new ones alone.",
        judge=_values,
        needs=(needs_earlier,),
    ),
    Check(
        code="DATA-SHIFTED",
        title="Fields are distributed as in the other snapshot",
        severity="low",
        way_out="Look whether a unit or a source has changed; else the world did, so fit again.",
        judge=_shifted,
        needs=(needs_earlier,),
    ),
)
