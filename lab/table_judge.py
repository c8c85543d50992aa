"""What a table's evaluation starts from: the test rows, and what each step did on them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt

from core.calibration import FloatArray
from lab.evaluation import Figure, Reliability
from lab.fit_calibration import log_loss_of
from lab.fit_table import FittedLadder, Step
from lab.reliability import reliability_of
from lab.risk_steps import Labels
from lab.statistics import (
    RankedScores,
    paired_interval,
    paired_mean,
)
from lab.table_data import TableData
from lab.table_money import Acted, act
from lab.temporal_split import Split

METRIC = "cost"
AREA_RESAMPLES = 300  # each ranks all rows


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Everything is over the test rows, in the order of time."""

    data: TableData
    split: Split
    ladder: FittedLadder
    seed: int
    _costs: dict[str, Acted] = field(default_factory=dict)
    _figures: dict[str, dict[str, Figure]] = field(default_factory=dict)

    @cached_property
    def labels(self) -> Labels:
        return self.data.table.labels[self.split.test]

    @cached_property
    def clusters(self) -> npt.NDArray[Any]:
        return self.data.clusters[self.split.test]

    @cached_property
    def said(self) -> list[str | None]:
        return [self.data.said[row] for row in self.split.test]

    def probabilities(self, step: Step) -> FloatArray:
        return step.probabilities[self.split.test]

    def acted(self, step: Step) -> Acted:
        if step.name not in self._costs:
            said = self.said if step.after_rules else [None] * len(self.labels)
            self._costs[step.name] = act(
                self.data.spec, self.probabilities(step), self.labels, said, step.asking
            )
        return self._costs[step.name]

    def mean(self, values: FloatArray) -> Figure:
        return paired_mean(values, self.clusters, seed=self.seed)

    def area(self, step: Step, kind: str = "auc") -> Figure:
        ranked = RankedScores(self.probabilities(step), self.labels)
        figure = ranked.auc if kind == "auc" else ranked.average_precision
        return paired_interval(figure, self.clusters, resamples=AREA_RESAMPLES, seed=self.seed)

    def figures(self, step: Step) -> dict[str, Figure]:
        if step.name not in self._figures:
            p = self.probabilities(step)
            self._figures[step.name] = {
                METRIC: self.mean(self.acted(step).cost),
                "auc": self.area(step),
                "average_precision": self.area(step, "average_precision"),
                "log_loss": self.mean(log_loss_of(p, self.labels)),
                "brier": self.mean((p - self.labels) ** 2),
            }
        return self._figures[step.name]

    def reliability(self, step: Step) -> Reliability:
        return reliability_of(
            step.name,
            self.probabilities(step),
            self.labels > 0.5,
            self.clusters,
            method=str(step.chosen.get("calibration", "none")),
            brier=self.figures(step)["brier"],
            log_loss=self.figures(step)["log_loss"],
            seed=self.seed,
        )
