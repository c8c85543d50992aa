"""What a check must have before it can say anything; what is lacking is told, never guessed."""

from lab.checks.predictive import LEAST_OF_EACH, LEAST_ROWS
from lab.checks.result import Finding, insufficient, not_applicable
from lab.checks.subject import Subject


def needs_rows(subject: Subject) -> Finding | None:
    n = subject.rows.n
    if n < LEAST_ROWS:
        return insufficient(f"{n} rows, and {LEAST_ROWS} are the least", n=n)
    return None


def needs_targets(subject: Subject) -> Finding | None:
    """A label, or truths of a text, with enough rows of either kind."""
    if lacking := needs_rows(subject):
        return lacking
    if subject.rows.targets:
        return None
    risk = subject.spec.risk
    if not subject.spec.by_text and not (risk and risk.label):
        return not_applicable("the decision has no label")
    return _too_few(subject)


def needs_label_column(subject: Subject) -> Finding | None:
    risk = subject.spec.risk
    if risk is None or risk.label is None:
        return not_applicable("the decision has no risk with a label")
    if subject.rows.label is None:
        return insufficient(f"the snapshot has no column '{risk.label}'")
    return None


def needs_label(subject: Subject) -> Finding | None:
    """The label of a risk, with enough rows of either kind."""
    risk = subject.spec.risk
    if risk is None or risk.label is None:
        return not_applicable("the decision has no risk with a label")
    if lacking := needs_rows(subject):
        return lacking
    return None if risk.label in subject.rows.targets else _too_few(subject)


def needs_split(subject: Subject) -> Finding | None:
    """Parts as training cuts them."""
    if subject.rows.parts is None:
        return insufficient("the rows cannot be cut into three parts by time", n=subject.rows.n)
    return None


def needs_event_time(subject: Subject) -> Finding | None:
    if subject.spec.request.time_field is None:
        return not_applicable("the decision names no time of its events")
    return needs_known_times(subject)


def needs_known_times(subject: Subject) -> Finding | None:
    """Of every row, where the decision goes by time; a stored snapshot holds them."""
    if subject.spec.request.time_field and subject.rows.moments is None:
        return insufficient("rows without the time of their event", n=subject.rows.n)
    return None


def needs_earlier(subject: Subject) -> Finding | None:
    if subject.earlier is None:
        return not_applicable("no other snapshot was named to compare with")
    short = min(subject.rows.n, subject.earlier.n)
    if short < LEAST_ROWS:
        return insufficient(
            f"one of the snapshots has {short} rows, and {LEAST_ROWS} are the least"
        )
    return None


def _too_few(subject: Subject) -> Finding:
    label = subject.rows.label
    positives = int(label.sum()) if label is not None else 0
    return insufficient(
        f"fewer than {LEAST_OF_EACH} rows of either kind of label",
        n=subject.rows.n,
        positives=positives,
    )
