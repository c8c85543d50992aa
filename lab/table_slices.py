"""What each slice of a table costs under a step, and whether a simpler one served it better."""

from lab.evaluation import SliceRow
from lab.fit_table import Step
from lab.slicing import slice_masks, slice_row
from lab.statistics import judge_slices
from lab.table_judge import Judge

Pairs = dict[tuple[str, str], tuple[SliceRow, ...]]


def slices_by_pair(judge: Judge) -> Pairs:
    """Each deployable step against every simpler one: the gate says which it would replace."""
    deployable = [step for step in judge.ladder.steps if step.model is not None]
    return {
        (step.name, simpler.name): slices_of(judge, step, simpler)
        for place, step in enumerate(deployable)
        for simpler in deployable[:place]
    }


def slices_of(judge: Judge, step: Step, simpler: Step | None) -> tuple[SliceRow, ...]:
    test = judge.split.test
    columns = {name: [values[row] for row in test] for name, values in judge.data.facts.items()}
    fit = judge.split.fit if len(judge.split.fit) else test
    before = {name: [values[row] for row in fit] for name, values in judge.data.facts.items()}
    masks = slice_masks(judge.data.spec, columns, before=before, days_old=judge.data.ages(test))
    cost = judge.acted(step).cost
    if simpler is None:  # nothing would take its place: its rows are held against one another
        verdicts = judge_slices(cost, masks, judge.clusters, against="rest")
    else:
        verdicts = judge_slices(cost - judge.acted(simpler).cost, masks, judge.clusters)
    return tuple(
        slice_row(mask, verdict, cost, judge.clusters, judge.seed)
        for mask, verdict in zip(masks, verdicts, strict=True)
    )
