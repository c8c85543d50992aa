"""Which step of a ladder is let in: the heaviest that has earned its place, else a simpler one.

A step is preferred where the lower end of its paired interval over *every* simpler deployable step
reaches the least worthwhile uplift. What is not known is never a pass.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.spec.gate import STEPS, Gate, StepName
from lab.evaluation import (
    Figure,
    GateReason,
    GateReport,
    Reliability,
    SliceRow,
    StepReport,
    Uplift,
)

LEAST_CLUSTERS = 10  # a bootstrap of fewer entities is far too sure of itself
MONEY = "cost"  # the metric that the prices of decision.yaml are in
BASES = {"rules": "the rules", "constant": "the base rate"}  # the first that there is
PRICED: Mapping[str, StepName] = {name: name for name in STEPS}
READ_NO_FEATURES = frozenset({"constant", "last_label", "rules"})


def decide(
    *,
    gate: Gate,
    steps: Sequence[StepReport],
    uplifts: Sequence[Uplift],
    slices: Mapping[tuple[str, str], Sequence[SliceRow]],
    reliability: Mapping[str, Reliability],
    latency_ms: Mapping[str, float] | None,
    latency_limit_ms: float | None,
    parity: Mapping[str, int] | None = None,
) -> GateReport:
    """`steps` from the simplest to the heaviest, `uplifts` one a pair, by the deciding metric.

    `slices` are by a step and the simpler one that it is held against; `reliability`
    has the steps that give probabilities; `latency_ms` is each step's p95; `parity` counts rows
    `compared` and `differences`. An empty mapping or None leaves that condition to others, and is
    told as unknown; a step that is missing from what is given does not pass. Raises ValueError
    where no deployable step has figures, or a pair has two uplifts.
    """
    measured = [step for step in steps if step.figures]
    deployable = [step.name for step in measured if step.deployable]
    if not deployable:
        raise ValueError("no deployable step of the ladder has figures")
    evidence = _Evidence(
        gate=gate,
        uplifts=_by_pair(uplifts),
        slices=slices,
        reliability=reliability,
        latency_ms=latency_ms,
        latency_limit_ms=latency_limit_ms,
        parity=parity,
    )
    reasons: list[GateReason] = []
    earned = [deployable[0]]
    for place, step in enumerate(deployable[1:], start=1):
        compared = [evidence.uplift(step, simpler) for simpler in deployable[:place]]
        reasons += compared
        if all(reason.holds for reason in compared):
            earned.append(step)
    for place in reversed(range(len(earned))):
        instead = earned[place - 1] if place else None
        registered, conditions = earned[place], list(evidence.conditions(earned[place], instead))
        reasons += conditions
        if all(reason.holds for reason in conditions):
            break
    failed = [one for one in conditions if one.holds is False]  # of the simplest, left alone
    problems = [*_unbeaten(deployable, earned), *map(_unmet, failed)]
    for name in (step.name for step in measured if not step.deployable):
        yardstick = evidence.yardstick(registered, name)
        reasons.append(yardstick)
        problems += [_outdone(name, yardstick)] if yardstick.holds is False else []
    reasons += evidence.not_judged()
    return GateReport(
        registered=registered,
        heaviest=deployable[-1],
        reasons=tuple(reasons),
        problem="; ".join(problems),
    )


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    gate: Gate
    uplifts: Mapping[tuple[str, str], Uplift]
    slices: Mapping[tuple[str, str], Sequence[SliceRow]]
    reliability: Mapping[str, Reliability]
    latency_ms: Mapping[str, float] | None
    latency_limit_ms: float | None
    parity: Mapping[str, int] | None

    def uplift(self, step: str, simpler: str) -> GateReason:
        found = self.uplifts.get((step, simpler))
        if found is None:
            return _reason("UPLIFT", None, f"{step} was not compared with {simpler}")
        few = found.diff.clusters is not None and found.diff.clusters < LEAST_CLUSTERS
        if few:
            told = f"{step} over {simpler}: {found.diff.clusters} entities are too few to say"
            return _reason("UPLIFT", None, told)
        needed = self._needed(found)
        holds = found.diff.ci_low >= needed and found.diff.ci_low > 0
        asked = f"at least {needed:.4g}" if needed > 0 else "above 0"
        return _reason(
            "UPLIFT",
            holds,
            f"{step} over {simpler}, {found.metric}: {_figure(found.diff)}; "
            f"its lower end must be {asked}",
        )

    def _needed(self, uplift: Uplift) -> float:
        """In money, no less than what decision.yaml asks for, whatever the comparison says."""
        if uplift.metric != MONEY or not {uplift.step, uplift.over} <= PRICED.keys():
            return uplift.needed
        worthwhile = self.gate.worthwhile(PRICED[uplift.step], PRICED[uplift.over])
        return max(uplift.needed, worthwhile)

    def yardstick(self, registered: str, name: str) -> GateReason:
        """A step that cannot be deployed is no rival, but should not be surely better either."""
        ahead = self.uplifts.get((registered, name))
        if ahead is not None:
            holds = ahead.diff.ci_high >= 0
            what = f"{registered} over {name}, {ahead.metric}: {_figure(ahead.diff)}"
            return _reason("YARDSTICK", holds, what)
        behind = self.uplifts.get((name, registered))
        if behind is None:
            return _reason("YARDSTICK", None, f"{registered} was not compared with {name}")
        what = f"{name} over {registered}, {behind.metric}: {_figure(behind.diff)}"
        return _reason("YARDSTICK", behind.diff.ci_low <= 0, what)

    def conditions(self, step: str, instead: str | None) -> Iterator[GateReason]:
        """`instead` is what would be registered in its place; None for the simplest."""
        yield from self._slices(step, instead)
        yield from self._calibration(step, instead)
        yield from self._latency(step)
        yield from self._parity(step)

    def not_judged(self) -> Iterator[GateReason]:
        """A condition that nobody gave anything for is said, and not passed over."""
        if not self.latency_ms:
            yield _reason("LATENCY", None, "latency was not measured here")
        if self.parity is None:
            yield _reason("PARITY", None, "the features' parity was not measured here")

    def _slices(self, step: str, instead: str | None) -> Iterator[GateReason]:
        if instead is None or not self.slices:
            return
        if (step, instead) not in self.slices:
            yield _reason("SLICE", None, f"the slices of {step} over {instead} were not looked at")
            return
        rows = self.slices[step, instead]
        bound = [row for row in rows if row.bound is not None or row.critical]
        worse = [row for row in bound if row.verdict == "worse"]
        unbound = [row for row in rows if row.verdict == "worse" and row not in bound]
        unknown = [row for row in rows if row.critical and row.verdict == "insufficient data"]
        for row in worse:
            yield _reason("SLICE", False, f"{step} is worse than {instead} in {_slice(row)}")
        for row in unknown:
            yield _reason("SLICE", None, f"too few rows to pass {step} in {_slice(row)}")
        for row in unbound:  # it is told, and whoever minds it declares a bound
            told = f"{step} is worse than {instead} in {_slice(row)}, without a bound"
            yield _reason("SLICE", True, told)
        if not worse and not unknown and not unbound:
            told = f"{step} over {instead}: none of {len(rows)} slices is worse"
            yield _reason("SLICE", True, told)

    def _calibration(self, step: str, instead: str | None) -> Iterator[GateReason]:
        found = self.reliability.get(step)
        if found is None:
            return
        replaced = self.reliability.get(instead) if instead else None
        # Where nothing with probabilities would take its place, one of 20 calibrated steps is too
        # many to lose by chance.
        limit, share = (found.ece_null_p95, 95) if replaced else (found.ece_null_p99, 99)
        error = found.ece.mean
        told = (
            f"{step} ({found.method}): ECE {_figure(found.ece, signed=False)}; a calibrated model "
            f"stays below {limit:.4g} in {share} % of samples of that size"
        )
        calibrated = error <= limit
        neither = replaced is not None and replaced.ece.mean > max(replaced.ece_null_p95, error)
        if not calibrated and replaced is not None and neither:
            # What would take its place is worse calibrated: refusing it would mend nothing.
            told += f"; {instead}, which would take its place, has {replaced.ece.mean:.4g}"
            yield _reason("CALIBRATION", True, told)
            return
        yield _reason("CALIBRATION", calibrated, told)

    def _latency(self, step: str) -> Iterator[GateReason]:
        """Without the measured time, which would make the same training another evaluation."""
        if not self.latency_ms or self.latency_limit_ms is None:
            return
        limit = f"the budget of {self.latency_limit_ms:.4g} ms"
        if step not in self.latency_ms:
            yield _reason("LATENCY", None, f"the latency of {step} was not measured, for {limit}")
            return
        within = self.latency_ms[step] <= self.latency_limit_ms
        told = "within" if within else "above"
        yield _reason("LATENCY", within, f"{step}: p95 of one row is {told} {limit}")

    def _parity(self, step: str) -> Iterator[GateReason]:
        if self.parity is None or step in READ_NO_FEATURES:
            return
        compared, differences = (self.parity[name] for name in ("compared", "differences"))
        yield _reason(
            "PARITY",
            differences == 0 if compared else None,
            f"features online and offline: {differences} differ, n = {compared}",
        )


def _by_pair(uplifts: Sequence[Uplift]) -> dict[tuple[str, str], Uplift]:
    pairs = {(uplift.step, uplift.over): uplift for uplift in uplifts}
    if len(pairs) < len(uplifts):
        raise ValueError("a pair of steps is compared twice; give the deciding metric alone")
    return pairs


def _unbeaten(deployable: Sequence[str], earned: Sequence[str]) -> Iterator[str]:
    base = next((name for name in BASES if name in deployable), None)
    if base is None:
        return
    heavier = set(deployable[deployable.index(base) + 1 :])
    if heavier and not heavier & set(earned):
        yield (
            f"nothing beats {BASES[base]}: a problem of the data or the framing, which a "
            "heavier model does not mend"
        )


def _unmet(failed: GateReason) -> str:
    return f"no step holds every condition, so the simplest is registered ({failed.what})"


def _outdone(name: str, failed: GateReason) -> str:
    advice = "frame what it knows as a feature"
    if name in BASES:
        advice = "look at the rules, which cost more than they bring"
    return f"{name}, which cannot be deployed, does better ({failed.what}): {advice}"


def _reason(kind: str, holds: bool | None, what: str) -> GateReason:
    return GateReason(code=f"GATE-{kind}", holds=holds, what=what)


def _slice(row: SliceRow) -> str:
    told = f"{row.slice} = {row.value}, n = {row.n}"
    if row.diff is not None:
        told += f": {row.diff.mean:+.4g} [{row.diff.ci_low:.4g}, {row.diff.ci_high:.4g}]"
    return told + (f", bound {row.bound:.4g}" if row.bound is not None else "")


def _figure(figure: Figure, *, signed: bool = True) -> str:
    clusters = f" in {figure.clusters} clusters" if figure.clusters is not None else ""
    interval = f"[{figure.ci_low:.4g}, {figure.ci_high:.4g}]"
    mean = f"{figure.mean:+.4g}" if signed else f"{figure.mean:.4g}"
    return f"{mean} {interval}, n = {figure.n}{clusters}"
