"""What a step of the baseline ladder must be worth before it is preferred over a simpler one."""

from typing import Literal

from pydantic import Field

from core.spec.strict import Name, Strict

StepName = Literal[
    "constant",
    "last_label",
    "rules",
    "linear",
    "shallow_tree",
    "boosted",
    "boosted_large",
    "ladder",  # of a decision that reads a text, all its rungs as one
]
# Of a decision by fields, from the simplest to the heaviest; each has to beat all before it.
STEPS: tuple[StepName, ...] = (
    "constant",
    "last_label",
    "rules",
    "linear",
    "shallow_tree",
    "boosted",
    "boosted_large",
)


class StepPrice(Strict):
    """What keeping a step costs: money a month for its training and upkeep, and a decision's."""

    training: float = Field(default=0, ge=0)
    upkeep: float = Field(default=0, ge=0)
    serving: float = Field(default=0, ge=0)


class Gate(Strict):
    """`minimum_uplift` is in money a decision, beside what the prices of the steps ask for.

    `slice_bound` is how much more a slice may cost a decision under a heavier step than under the
    simpler one; a slice may declare its own.
    """

    decisions_per_month: float = Field(default=10_000, gt=0)
    steps: dict[StepName, StepPrice] = Field(default_factory=dict)
    minimum_uplift: float = Field(default=0, ge=0)
    slice_bound: float | None = Field(default=None, ge=0)

    def worthwhile(self, step: StepName, simpler: StepName) -> float:
        """Money a decision that `step` must save over `simpler`."""
        ours, theirs = (self.steps.get(name, StepPrice()) for name in (step, simpler))
        monthly = ours.training + ours.upkeep - theirs.training - theirs.upkeep
        extra = monthly / self.decisions_per_month + ours.serving - theirs.serving
        return self.minimum_uplift + max(0.0, extra)


class Slice(Strict):
    """Rows that are looked at apart, by the value of the field `of` or by the `edges` of a number.

    For a time, edges are days before the newest row. `rarer_than` parts the rows whose value has a
    smaller share than that from the others. A `critical` slice with too few rows is no pass.
    """

    name: Name
    of: Name
    edges: tuple[float, ...] = ()
    rarer_than: float | None = Field(default=None, gt=0, lt=1)
    critical: bool = False
    bound: float | None = Field(default=None, ge=0)
