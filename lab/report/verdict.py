"""The head of a report: which step is registered and why, on what data, and for how much money."""

from lab.evaluation import Evaluation, GateReason, SplitReport
from lab.report.amounts import count, figure_text, percent
from lab.report.blocks import Cell, Fact, Mark, Section, Table, columns

HOLDS = Mark(symbol="✓", word="holds", tone="good")
FAILS = Mark(symbol="✗", word="does not hold", tone="bad")
UNKNOWN = Mark(symbol="?", word="unknown", tone="unknown")
KINDS = {
    "table": "a decision by fields",
    "decision": "a decision that reads a text",
    "router": "the model that reads intents",
    "ranker": "the model that ranks passages",
}
SPLITS = {
    "temporal": "temporal: fitted on the past, judged on what came after",
    "random": "RANDOM: the rows judged are mixed in time with those fitted on",
    "given": "given by whoever made the files",
}


def reason_mark(holds: bool | None) -> Mark:
    return UNKNOWN if holds is None else HOLDS if holds else FAILS


def verdict(evaluation: Evaluation) -> tuple[str, Mark, str]:
    """What is registered, its mark, and one sentence of why."""
    gate = evaluation.gate
    live = evaluation.kind == "table" and evaluation.split.kind == "given"
    told = f"{'Live' if live else 'Registered'}: {gate.registered}"
    if gate.problem:
        return told, Mark(symbol="✗", word="problem", tone="bad"), _counted(gate.reasons)
    if gate.registered != gate.heaviest:
        mark = Mark(symbol="↓", word="simpler step", tone="unknown")
        why = (
            f"{gate.heaviest}, the heaviest step, has not earned its place over every simpler one, "
            f"so the simpler {gate.registered} is registered."
        )
        return told, mark, f"{why} {_counted(gate.reasons)}"
    if any(reason.holds is None for reason in gate.reasons):
        mark = Mark(symbol="✓", word="earned, with unknowns", tone="unknown")
    else:
        mark = Mark(symbol="✓", word="earned", tone="good")
    why = f"{gate.registered} is the heaviest step and has earned its place."
    return told, mark, f"{why} {_counted(gate.reasons)}"


def _counted(reasons: tuple[GateReason, ...]) -> str:
    held = sum(reason.holds is True for reason in reasons)
    failed = sum(reason.holds is False for reason in reasons)
    unknown = len(reasons) - held - failed
    told = f"Conditions met: {held}; not met: {failed}"
    return f"{told}; unknown: {unknown}." if unknown else f"{told}."


def warnings(evaluation: Evaluation) -> tuple[str, ...]:
    told = []
    if evaluation.gate.problem:
        told.append(f"Problem: {evaluation.gate.problem}.")
    if evaluation.split.kind == "random":
        told.append(
            "Random split: these figures come from rows mixed in time with those the models were "
            "fitted on. What comes may be worse; do not ship by them alone."
        )
    return tuple(told)


def facts(evaluation: Evaluation) -> tuple[Fact, ...]:
    split, told = evaluation.split, []
    told.append(Fact(name="kind", value=KINDS[evaluation.kind]))
    if evaluation.kind in ("table", "decision"):
        told.append(Fact(name="snapshot", value=evaluation.snapshot or "none"))
    told.append(Fact(name="split", value=SPLITS[split.kind]))
    told.append(Fact(name="judged on", value=f"n = {count(split.test)} test rows"))
    if split.embargoed:
        value = f"{count(split.embargoed)} rows left out"
        told.append(Fact(name="embargoed", value=value, detail="their label was not known in time"))
    return (*told, *_money(evaluation))


def _money(evaluation: Evaluation) -> list[Fact]:
    money = evaluation.money
    if money is None:
        return []
    at = f"at {count(round(money.decisions_per_month))} decisions a month"
    cost = f"{money.currency} {figure_text(money.cost)}"
    told = [Fact(name="cost a month", value=cost, detail=at)]
    if money.saved is not None:
        saved = f"{money.currency} {figure_text(money.saved, signed=True)}"
        told.append(Fact(name="saved a month", value=saved, detail="against the simplest step"))
    return told


def gate_section(evaluation: Evaluation) -> Section:
    gate = evaluation.gate
    rows = tuple(
        (
            Cell(text=reason.code),
            Cell(mark=reason_mark(reason.holds)),
            Cell(text=reason.what),
        )
        for reason in gate.reasons
    )
    caption = (
        f"Registered is {gate.registered}; the heaviest is {gate.heaviest}. A step must beat every "
        "simpler one; what does not hold for a step is why a simpler one stands in its place, and "
        "what is unknown is never a pass."
    )
    heads = columns("condition", "verdict", "what was seen")
    return Section(
        key="gate",
        title="Why: the conditions of the gate",
        blocks=(Table(columns=heads, rows=rows, caption=caption),),
    )


def split_section(split: SplitReport) -> Section:
    """Rows and label share by part: a share that moves is the first sign of a changing world."""
    parts = (("fit", split.fit), ("validation", split.validation), ("test", split.test))
    with_rate = bool(split.base_rate)
    names = ("part", "rows", *(("share of the label",) if with_rate else ()))
    rows = tuple(
        (
            Cell(text=name),
            Cell(text=count(rows), number=True),
            *((_rate(split, name),) if with_rate else ()),
        )
        for name, rows in parts
    )
    told = f"The split is {SPLITS[split.kind]}."
    if split.cuts:
        told += f" A part ends at {' and at '.join(split.cuts)}."
    if split.embargoed:
        told += (
            f" {count(split.embargoed)} rows were embargoed: their label was not known by the end "
            "of their part."
        )
    return Section(
        key="data",
        title="The rows it was judged on",
        blocks=(Table(columns=columns(*names, numbers=names[1:]), rows=rows, caption=told),),
    )


def _rate(split: SplitReport, name: str) -> Cell:
    if name not in split.base_rate:
        return Cell(text="none")
    return Cell(text=percent(split.base_rate[name]), number=True)
