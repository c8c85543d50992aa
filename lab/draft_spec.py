"""A first decision.yaml from a table: what can be inferred, and a question where a person decides.

Nothing is guessed in silence: every `# QUESTION:` stands where data cannot answer.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.errors import InvalidDocument
from lab.column_profile import Profile, Progress, in_order, profiles_of
from lab.draft_names import names_of
from lab.snapshots.read_table import shown

# What exports write for yes; of any other label `positive` has to say which value is meant.
YES = ("1", "1.0", "yes", "true", "y", "t")
MANY_VALUES = 20  # of a category: more are met later, so an unseen one is unknown, not refused
LONG_TAIL = 10.0  # times the mean: such a number is fitted on its logarithm,
LARGE = 100.0  # where it is not so small that a logarithm changes little
RULES = """\
version: "1"
hit_policy: first
# QUESTION: Which cases are settled by a rule alone, such as a limit set by law or by contract?
# Write them as docs/reference/rules.md shows, each with a test case.
rules: []
"""
Lines = list[str]


def draft(
    table: Path,
    name: str,
    *,
    label: str,
    positive: str | None = None,
    progress: Progress = lambda step, done, total: None,
) -> str:
    """The text of a decision.yaml that `core.spec.parse_spec` accepts.

    `positive` is the label's value for the rows in question, where that does not go without saying.
    Raises InvalidDocument.
    """
    profiles = profiles_of(table, progress)
    if label not in profiles:
        raise InvalidDocument(
            "RUNG-TABLE-COLUMN",
            f"{table} has no column {shown(label)}",
            way_out=f"Its columns are: {shown(', '.join(profiles))}.",
        )
    target = profiles.pop(label)
    names = names_of([label, *profiles])
    fields = {names[column]: profile for column, profile in profiles.items()}
    if not any(_features(field, profile) for field, profile in fields.items()):
        raise InvalidDocument(
            "RUNG-RISK-FEATURES",
            f"no column of {table} beside '{shown(label)}' differs from row to row",
            way_out="Name a table with columns to decide by.",
        )
    meant = _positive(target, positive)
    parts = [
        _head(name, target, meant),
        _request(table, fields),
        _money(names[label]),
        _slices(fields),
        _risk(names[label], target, meant, fields),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def _positive(label: Profile, given: str | None) -> str | int | bool:
    """The value as decision.yaml writes it."""
    told = shown(", ".join(label.values[:5])) + (", ..." if len(label.values) > 5 else "")
    if label.distinct_beyond or len(label.values) != 2 or label.nulls:
        raise InvalidDocument(
            "RUNG-RISK-LABELS",
            f"the label '{shown(label.name)}' is not one of two values in every row "
            f"({told or 'too many'}; {label.nulls} missing)",
            way_out="Name a column that says yes or no, and leave rows without a truth out.",
        )
    likely = [value for value in label.values if value.lower() in YES]
    meant = given if given is not None else likely[0] if len(likely) == 1 else None
    if meant is None or meant not in label.values:
        raise InvalidDocument(
            "RUNG-RISK-LABELS",
            f"which value of '{shown(label.name)}' is meant: {told}?",
            way_out=f"Write --positive {shown(label.values[-1])}, or the other one.",
        )
    if label.kind == "integer":
        return int(float(meant))
    return meant.lower() == "true" if label.kind == "boolean" else meant


def _head(name: str, label: Profile, positive: Any) -> Lines:
    column = shown(f"{label.name} = {positive}")
    return [
        "# A draft from a table. Answer each QUESTION and remove it; `rung check` holds this file",
        "# against itself, and docs/reference/decision.md says what may stand where.",
        f"name: {_text(name)}",
        'version: "1"',
        "framing:",
        "  # QUESTION: What happens when this decision is asked for?",
        "  event: to be written, what happens when the decision is due",
        "  # QUESTION: About whom or what is it, and who is left out?",
        "  population: to be written, about whom or what it is",
        "  # QUESTION: What is observed, about whom and by when? The table has only a label.",
        f"  target: {_text(f'to be written, what it means that {column}'[:400])}",
        "  # QUESTION: How far ahead does the target look, and when is it nearly always known?",
        "  horizon_days: 1",
        "  label_delay_days: 0",
        "  # QUESTION: Which figure of the business should get better by this?",
        "  kpi: {name: to_be_written, unit: to be written, better: higher}",
        "  # QUESTION: Who is called when the decision is wrong?",
        "  owner: to be written",
    ]


def _request(table: Path, fields: Mapping[str, Profile]) -> Lines:
    lines = ["request:", *_entity(fields), *_time(table, fields), "  fields:"]
    lines += [
        "    # QUESTION: Is each of these known at the moment of the decision? What is known only",
        "    # afterwards gives the label away: add `available: false` and remove its feature.",
    ]
    for name, profile in fields.items():
        lines += _field(name, profile)
    return lines


def _entity(fields: Mapping[str, Profile]) -> Lines:
    likely = [name for name, one in fields.items() if one.kind == "text" and one.one_word]
    told = f" Perhaps {', '.join(likely[:5])}." if likely else ""
    return [
        "  # QUESTION: Which text field is the id of the customer or machine that a row is about?",
        f"  # Intervals then resample whole entities: `entity: that_field`.{told}",
    ]


def _time(table: Path, fields: Mapping[str, Profile]) -> Lines:
    """The first time by which the rows are in order already; any other may be of the outcome."""
    times = {name: one for name, one in fields.items() if one.kind == "time" and not one.nulls}
    found = next((name for name, one in times.items() if in_order(table, one)), None)
    if found:
        return [
            f"  # QUESTION: Is {found} when the decision was due, and not when it was settled?",
            f"  time: {_text(found)}",
        ]
    told = f" Perhaps {', '.join(list(times)[:5])}: `time: that_field`." if times else ""
    return [
        "  # QUESTION: Which field says when the decision was due? Without one the rows are",
        f"  # taken to stand in the order of time, the oldest first.{told}",
        "  time: {row_number: true}",
    ]


def _field(name: str, profile: Profile) -> Lines:
    content: dict[str, Any] = {"type": profile.kind}
    if name != profile.name:
        content["column"] = profile.name
    if profile.kind == "time" and profile.formats:
        content["format"] = profile.formats[0]
    many = profile.kind == "category" and len(profile.values) > MANY_VALUES
    if profile.nulls or many:
        content["missing"] = "unknown"
    if many:
        content["unseen"] = "unknown"
    if profile.kind == "text" and profile.longest > 4000:  # the default of max_length
        content["max_length"] = profile.longest
    if profile.kind == "category":
        content["values"] = list(profile.values)
    lines = []
    if len(profile.formats) > 1:
        lines.append(f"    # QUESTION: Which is it, {' or '.join(map(_text, profile.formats))}?")
    if profile.codes:
        lines.append(f"    # QUESTION: Is {name} an amount, or a code that should be a category?")
    return [*lines, f"    {_text(name)}: {_flow(content)}"]


def _money(label: str) -> Lines:
    act = _text(_outcome(label))
    return [
        "outcomes:",
        "  # QUESTION: What is done in either case? Rename both to what they do.",
        f"  {act}: to be written, what is done where the label is positive",
        "  leave_as_it_is: to be written, what is done otherwise",
        "costs:",
        "  # QUESTION: In which currency, and what does either error cost? All ones means that a",
        "  # false alarm is as dear as a miss, which is seldom true.",
        "  currency: EUR",
        "  error: 1",
        "  wrong_answer: 1",
        "  # QUESTION: What does a case cost that a person decides, how long does it take, and how",
        "  # often is the person wrong?",
        "  person: {price: 1, minutes: 1, error_rate: 0.05}",
        "  matrix:",
        f"    - {{outcome: {act}, truth: leave_as_it_is, cost: 1}}",
        f"    - {{outcome: leave_as_it_is, truth: {act}, cost: 1}}",
        "# QUESTION: How fast must it be, at how many decisions a second?",
        "budgets:",
        "  latency_p95_ms: 100",
        "  deadline_ms: 1000",
        "  throughput_per_s: 10",
        "  price_per_decision: 0",
        "  price_per_day: 0",
    ]


def _outcome(label: str) -> str:
    return f"act_on_{label}"[:60]


def _slices(fields: Mapping[str, Profile]) -> Lines:
    few = [name for name, one in fields.items() if one.kind == "category" and len(one.values) <= 8]
    told = f" Perhaps {', '.join(few[:5])}." if few else ""
    return [
        f"# QUESTION: Which groups must not fare worse than the others?{told}",
        "slices: []",
        "# QUESTION: How many decisions are there a month? A heavier model has to save its price.",
        "gate: {decisions_per_month: 10000}",
    ]


def _risk(label: str, profile: Profile, positive: Any, fields: Mapping[str, Profile]) -> Lines:
    lines = ["risk:", f"  outcome: {_text(_outcome(label))}", "  otherwise: leave_as_it_is"]
    lines.append(f"  label: {_text(label)}")
    if label != profile.name:
        lines.append(f"  column: {_text(profile.name)}")
    lines += [
        "  # QUESTION: Is this the value of the rows that are to be acted on?",
        f"  positive: {_value(positive)}",
        "  features:",
    ]
    for name, one in fields.items():
        lines += [
            f"    {_text(feature)}: {{kind: {kind}, of: {_text(name)}}}"
            for feature, kind in _features(name, one)
        ]
    return lines


def _features(name: str, profile: Profile) -> list[tuple[str, str]]:
    """Of what differs from row to row; an id or a free text tells nothing by itself."""
    if profile.constant:
        return [(name, "missing")] if profile.nulls and profile.rows > profile.nulls else []
    if profile.kind == "time":
        parts = [(f"{name[:54]}_weekday", "weekday")]
        return [(f"{name[:54]}_hour", "hour"), *parts] if profile.has_hours else parts
    if profile.kind == "text":
        return [] if profile.one_word else [(f"{name[:54]}_length", "length")]
    if profile.kind == "category":
        return [(name, "category")]
    if profile.kind == "boolean":
        return [(name, "number")]
    tail = profile.low >= 0 and profile.high > max(LARGE, LONG_TAIL * profile.mean)
    return [(name, "log1p" if tail else "number")]


def _text(text: str) -> str:
    """As YAML reads it back: quoted where it would be a number, a truth value or nothing."""
    return _flow([text])[1:-1]


def _value(value: Any) -> str:
    return _flow([value])[1:-1]


def _flow(content: Any) -> str:
    return yaml.safe_dump(
        content,
        default_flow_style=True,
        allow_unicode=True,
        sort_keys=False,
        width=1 << 30,
    ).strip()
