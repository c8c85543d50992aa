"""Judges every step of a table's baseline ladder on the test rows, and asks the gate."""

from collections.abc import Mapping

from core.errors import InvalidDocument
from core.spec import STEPS, StepName
from lab.evaluation import (
    Evaluation,
    GateReport,
    Reliability,
    ShareOfHeaviest,
    SplitComparison,
    SplitReport,
    StepReport,
    Uplift,
)
from lab.fit_calibration import log_loss_of
from lab.fit_table import FittedLadder, Progress, Step, refuse_parts
from lab.gate import decide
from lab.kpi import together
from lab.risk_steps import MEANINGS, fit_step
from lab.statistics import RankedScores, paired_ratio, resampled
from lab.table_data import TableData
from lab.table_judge import AREA_RESAMPLES, METRIC, Judge
from lab.table_sections import conformal, confusion, cost_curve, money, weighting
from lab.table_slices import slices_by_pair, slices_of
from lab.temporal_split import Split, split_rows
from lab.threshold_curves import curves_of

FEW_OF_EACH = 30  # of either label among the test rows
BELIEVABLE_GAP = 0.02  # of AUC; a smaller gap is within what the draw of the split does
MODELS = ("linear", "shallow_tree", "boosted", "boosted_large")


def evaluate_table(
    data: TableData,
    split: Split,
    ladder: FittedLadder,
    *,
    snapshot: str | None,
    seed: int = 0,
    latency_ms: Mapping[str, float],
    judged: StepName | None = None,
    parity: Mapping[str, int] | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Evaluation:
    """Figures of money, slices and calibration are of the step that the gate registers, or of
    `judged`, which is deployed already."""
    judge = Judge(data=data, split=split, ladder=ladder, seed=seed)
    steps = _steps(judge, progress)
    uplifts = _uplifts(judge)
    reliability: dict[str, Reliability] = {
        step.name: judge.reliability(step)
        for step in ladder.steps
        if step.model is not None or step is ladder.steps[-1]
    }
    slices = slices_by_pair(judge)
    comparison = None
    if split.kind != "given":
        progress("comparing the splits", 0, 1)
        comparison = _splits_compared(judge)
        progress("comparing the splits", 1, 1)
    gate = decide(
        gate=data.spec.gate,
        steps=steps,
        uplifts=[uplift for uplift in uplifts if uplift.metric == METRIC],
        slices=slices,
        reliability=reliability,
        latency_ms=latency_ms,
        latency_limit_ms=data.spec.budgets.latency_p95_ms,
        parity=parity,
    )
    own = judged or gate.registered
    if own != gate.registered:
        told = f"{own} is live, and on these rows the gate would register {gate.registered}"
        problem = "; ".join(filter(None, [told, gate.problem]))
        gate = gate.model_copy(update={"registered": own, "problem": problem})
    registered = next(step for step in ladder.steps if step.name == own)
    over = _replaced(ladder, gate, registered)
    # Where a constant is registered there is nothing to draw: the heaviest model is shown.
    shown = registered if registered.name in MODELS else ladder.steps[-1]
    return Evaluation(
        kind="table",
        decision=data.spec.name,
        snapshot=snapshot,
        metric=METRIC,
        better="lower",
        unit=f"{data.spec.costs.currency} a decision",
        split=_told(judge),
        steps=steps,
        uplifts=uplifts,
        share_of_heaviest=_share_of_heaviest(judge),
        gate=gate,
        split_comparison=comparison,
        slices=slices.get((registered.name, over), ()) or slices_of(judge, registered, None),
        slices_over=over or "the other rows",
        reliability=reliability[shown.name],
        curves=curves_of(judge.probabilities(shown), judge.labels, shown.name, judge.area, shown),
        cost_curve=cost_curve(judge, shown),
        weighting=weighting(judge),
        conformal=conformal(judge, shown) if len(split.validation) else None,
        confusion=confusion(judge, registered),
        money=money(judge, registered),
        together=together(
            data.spec,
            -judge.acted(registered).cost,
            data.kpi[split.test] if data.kpi is not None else [],
            judge.clusters,
            seed=seed,
        ),
        notes=_notes(judge, registered, shown),
    )


def _replaced(ladder: FittedLadder, gate: GateReport, registered: Step) -> str:
    """The heaviest simpler step that earned its place too; nothing for the simplest."""
    names = [step.name for step in ladder.steps if step.model is not None]
    simpler = names[: names.index(registered.name)]
    failed = {
        step
        for step in simpler[1:]
        for reason in gate.reasons
        if reason.code == "GATE-UPLIFT" and reason.what.startswith(f"{step} ") and not reason.holds
    }
    return next((step for step in reversed(simpler) if step not in failed), "")


def _steps(judge: Judge, progress: Progress) -> tuple[StepReport, ...]:
    told = {}
    for number, step in enumerate(judge.ladder.steps):
        progress("judging every step on the test rows", number, len(judge.ladder.steps))
        told[step.name] = StepReport(
            name=step.name,
            meaning=step.meaning,
            deployable=step.model is not None,
            figures=judge.figures(step),
            chosen=dict(step.chosen),
        )
    for name, why in judge.ladder.absent.items():
        told[name] = StepReport(name=name, meaning=MEANINGS[name], deployable=False, absent=why)
    progress("judging every step on the test rows", len(told), len(told))
    return tuple(told[name] for name in STEPS if name in told)


def _uplifts(judge: Judge) -> tuple[Uplift, ...]:
    """Of every step over every simpler one: money saved, and log-loss."""
    told = []
    steps, gate = judge.ladder.steps, judge.data.spec.gate
    losses = {step.name: log_loss_of(judge.probabilities(step), judge.labels) for step in steps}
    for number, step in enumerate(steps):
        for simpler in steps[:number]:
            saved = judge.acted(simpler).cost - judge.acted(step).cost
            gained = losses[simpler.name] - losses[step.name]
            needed = gate.worthwhile(step.name, simpler.name)
            told += [
                Uplift(
                    step=step.name,
                    over=simpler.name,
                    metric=metric,
                    diff=judge.mean(gain),
                    needed=least,
                )
                for metric, gain, least in ((METRIC, saved, needed), ("log_loss", gained, 0.0))
            ]
    return tuple(told)


def _splits_compared(judge: Judge) -> SplitComparison | None:
    """The same recipe (boosted trees) on the other kind of split; None where that has no parts."""
    data, mine = judge.data, judge.split
    other_kind = "random" if mine.kind == "temporal" else "temporal"
    try:
        other = split_rows(
            data.spec, len(data.table.labels), data.times, kind=other_kind, seed=judge.seed
        )
        refuse_parts(data.table.labels, other)
    except InvalidDocument:
        return None
    areas = {}
    for split in (mine, other):
        fitted = fit_step("boosted", data.table, split.fit, split.validation, seed=judge.seed)
        ranked = RankedScores(
            fitted.predict(data.table.rows[split.test]), data.table.labels[split.test]
        )
        areas[split.kind] = resampled(
            ranked.auc, data.clusters[split.test], resamples=AREA_RESAMPLES, seed=judge.seed
        )
    gap = areas["random"].less(areas["temporal"])
    why = "requests to come are decided on, and only the temporal split asks about rows to come"
    if gap.mean > BELIEVABLE_GAP:
        why += f"; the random split promises {gap.mean:.3f} more, which the future will not keep"
    return SplitComparison(
        step="boosted",
        metric="auc",
        random=areas["random"].figure(),
        temporal=areas["temporal"].figure(),
        gap=gap,
        believe="temporal",
        why=why,
    )


def _share_of_heaviest(judge: Judge) -> ShareOfHeaviest | None:
    """How much of what the heaviest model saves over the constant the simplest model saves too.

    None where the heaviest does not surely save anything, or the simplest does not at all.
    """
    constant, heaviest = judge.ladder.steps[0], judge.ladder.steps[-1]
    simple = next((s for s in judge.ladder.steps if s.name in MODELS), heaviest)
    if simple is heaviest:
        return None
    theirs, ours = (
        judge.acted(constant).cost - judge.acted(step).cost for step in (heaviest, simple)
    )
    if judge.mean(theirs).ci_low <= 0 or ours.mean() < 0:
        return None
    return ShareOfHeaviest(
        step=simple.name,
        metric="money saved over the constant",
        share=paired_ratio(ours, theirs, judge.clusters, seed=judge.seed),
    )


def _told(judge: Judge) -> SplitReport:
    split, labels = judge.split, judge.data.table.labels
    parts = {"fit": split.fit, "validation": split.validation, "test": split.test}
    rates = {name: float(labels[part].mean()) for name, part in parts.items() if len(part)}
    return split.told(rates)


def _notes(judge: Judge, registered: Step, shown: Step) -> tuple[str, ...]:
    notes = []
    if judge.split.kind == "random":
        notes.append("The split is random, as was asked for: figures of the future may be worse.")
    if shown is not registered:
        notes.append(f"Calibration and curves are of {shown.name}, the heaviest model.")
    positive = int(judge.labels.sum())
    if min(positive, len(judge.labels) - positive) < FEW_OF_EACH:
        notes.append(
            f"Only {positive} of {len(judge.labels)} test rows are positive: is the table sorted "
            "by its label? Then no split of it can be believed."
        )
    if judge.data.spec.request.entity is None:
        notes.append("No entity is declared, so intervals take every row for independent.")
    return tuple(notes)
