"""DATA-NONDETERMINISTIC: the same facts have the same features, whoever computes them and when."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.features import Matrix
from lab.checks.predictive import hashed, sampled
from lab.checks.result import (
    Check,
    Finding,
    insufficient,
    issue,
    listed,
    not_applicable,
    passed,
    tip,
)
from lab.checks.subject import Subject
from lab.checks.values import Codes

ROWS = 500
SINGLE_ROWS = 100
ELSEWHERE = Path(__file__).with_name("compute_elsewhere.py")
PATIENCE_S = 120.0
ZONE = "RUNG-13:45"  # POSIX for 13 h 45 min east of UTC, which needs no zone files
LATER_S = 200 * 86_400 + 12_345  # what its clock is ahead: another day, hour and weekday
Columns = Mapping[str, list[Any]]


def _judge(subject: Subject) -> Finding:
    features = subject.features
    sources = sorted({source for feature in features.values() for source in feature.sources})
    if not features:
        return not_applicable("the decision has no features")
    if lacking := [name for name in sources if not subject.rows.has(name)]:
        return not_applicable(f"the snapshot lacks what features read: {listed(lacking)}")
    places = sampled(subject.rows.sequence, ROWS, subject.seed)
    if not len(places):
        return insufficient("there are no rows", n=0)
    columns = {name: subject.rows.python(name, places) for name in sources}
    try:
        first = _computed(subject, columns, len(places))
        differing = {
            "computed again": _differing(subject, first, _computed(subject, columns, len(places))),
            "in another order": _differing(subject, first, _shuffled(subject, columns, places)),
            "each row alone": _differing(
                subject, first[:SINGLE_ROWS], _alone(subject, columns, len(places))
            ),
        }
    except Exception as error:  # `compute` may be anybody's
        return issue(f"features cannot be computed: {type(error).__name__}: {error}", n=len(places))
    other = _elsewhere(subject, columns, first.shape)
    if other is not None:
        differing["in another process"] = _differing(subject, first, other)
    return _told(differing, len(places), other is not None)


def _told(differing: dict[str, dict[str, int]], n: int, elsewhere: bool) -> Finding:
    figures = {"differing_rows": differing, "n": n, "in_another_process": elsewhere}
    found = {how: rows for how, rows in differing.items() if rows}
    if found:
        told = [f"{listed(list(rows))} {how}" for how, rows in found.items()]
        return issue(f"other bytes for the same facts: {'; '.join(told)} (n {n})", **figures)
    if not elsewhere:
        return tip(f"the same bytes for {n} rows, but in this process alone", **figures)
    return passed(
        f"the same bytes for {n} rows: again, in another order, one by one, and in a process with "
        "another hash seed, time zone and clock",
        **figures,
    )


def _computed(subject: Subject, columns: Columns, rows: int) -> Matrix:
    return subject.compute(subject.features, columns, rows, _categories(subject))


def _categories(subject: Subject) -> dict[str, tuple[str, ...]]:
    return {name: field.values for name, field in subject.spec.request.fields.items()}


def _shuffled(subject: Subject, columns: Columns, places: Codes) -> Matrix:
    """Computed in another order, and put back."""
    order = np.argsort(hashed(subject.rows.sequence[places], subject.seed + 2), kind="stable")
    mixed = {name: [values[place] for place in order] for name, values in columns.items()}
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return _computed(subject, mixed, len(order))[back]


def _alone(subject: Subject, columns: Columns, rows: int) -> Matrix:
    return np.vstack(
        [
            _computed(subject, {name: values[row : row + 1] for name, values in columns.items()}, 1)
            for row in range(min(SINGLE_ROWS, rows))
        ]
    )


def _elsewhere(subject: Subject, columns: Columns, shape: tuple[int, ...]) -> Matrix | None:
    """By a process of its own; None where it cannot import `compute`, or fails."""
    compute: Callable[..., Matrix] = subject.compute
    asked = {
        "module": compute.__module__,
        "name": compute.__qualname__,
        "features": {name: one.model_dump(mode="json") for name, one in subject.features.items()},
        "columns": columns,
        "rows": shape[0],
        "categories": _categories(subject),
        "later": LATER_S,
    }
    own = os.environ.get("PYTHONHASHSEED")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "2" if own == "1" else "1",
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "TZ": ZONE,
    }
    try:
        ended = subprocess.run(
            # -P: the modules beside the script are no top-level ones
            [sys.executable, "-P", str(ELSEWHERE)],
            input=json.dumps(asked).encode(),
            capture_output=True,
            env=environment,
            timeout=PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    content = b64decode(ended.stdout.splitlines()[-1])
    return np.frombuffer(content, dtype="<f8").reshape(shape).astype(np.float64)


def _differing(subject: Subject, one: Matrix, other: Matrix) -> dict[str, int]:
    """By feature: in how many rows the bytes are others."""
    if one.shape != other.shape:
        return dict.fromkeys(subject.features, len(one))
    here, there = (np.ascontiguousarray(m, dtype="<f8").view("<u8") for m in (one, other))
    counts = (here != there).sum(axis=0)
    return {name: int(c) for name, c in zip(subject.features, counts, strict=True) if c}


CHECKS = (
    Check(
        code="DATA-NONDETERMINISTIC",
        title="The same facts have the same features",
        severity="high",
        way_out="Compute a feature from its own row alone: no clock, time zone, hash or chance.",
        judge=_judge,
    ),
)
