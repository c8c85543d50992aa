"""Every check of a decision's data, in the order in which they are told."""

from collections.abc import Callable

from core.spec import DecisionSpec
from lab.checks import (
    availability,
    changes,
    constants,
    derived_leaks,
    determinism,
    future,
    identifiers,
    label_rates,
    split_copies,
    split_time,
    target_leaks,
)
from lab.checks.result import Check, CheckResult
from lab.checks.subject import Rows, SnapshotLike, Subject
from rules.ruleset import RulesEngine

CHECKS: tuple[Check, ...] = (
    *availability.CHECKS,
    *target_leaks.CHECKS,
    *derived_leaks.CHECKS,
    *identifiers.CHECKS,
    *future.CHECKS,
    *split_copies.CHECKS,
    *split_time.CHECKS,
    *label_rates.CHECKS,
    *constants.CHECKS,
    *changes.CHECKS,
    *determinism.CHECKS,
)
Progress = Callable[[str, int, int], None]


def run_checks(
    spec: DecisionSpec,
    snapshot: SnapshotLike,
    *,
    earlier: SnapshotLike | None = None,
    rules: RulesEngine | None = None,
    progress: Progress = lambda step, done, total: None,
    seed: int = 0,
) -> tuple[CheckResult, ...]:
    """One result a check, in the order of CHECKS; the same for the same rows, whatever their order.

    `earlier` is another snapshot of the decision, which the DATA-…-CHANGED checks compare with.
    """
    subject = Subject(
        rows=Rows(spec, snapshot),
        earlier=Rows(spec, earlier) if earlier else None,
        rules=rules,
        seed=seed,
    )
    results = []
    for done, check in enumerate(CHECKS, start=1):
        results.append(check.run(subject))
        progress("checking the rows", done, len(CHECKS))
    return tuple(results)
