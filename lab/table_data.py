"""A decision's rows as columns: features, labels, times, entities, and what its rules say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from core.contracts import PERSON
from core.errors import InvalidDocument
from core.features import compute_columns
from core.spec import DecisionSpec
from lab.risk_steps import Labels, Table
from lab.statistics import units_of
from lab.temporal_split import DAY, Moments, moments_of
from rules.ruleset import RulesEngine

LEAST_ROWS = 200  # below it a fifth of the rows says nothing about a model
LEAST_OF_EACH = 10


class Columns(Protocol):
    """A snapshot, as far as fitting needs it."""

    @property
    def rows(self) -> int: ...

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]: ...


@dataclass(frozen=True, kw_only=True)
class TableData:
    """`facts` holds the fields that exist at prediction time, column by column."""

    spec: DecisionSpec
    table: Table
    facts: Mapping[str, list[Any]]
    times: Moments | None
    said: tuple[str | None, ...]  # the rules' outcome of each row; PERSON where they escalate
    kpi: npt.NDArray[np.float64] | None = field(default=None)

    @property
    def clusters(self) -> npt.NDArray[Any]:
        """Whose each row is."""
        entity = self.spec.request.entity
        return np.array(units_of(self.facts[entity] if entity else [None] * len(self.said)))

    def ages(self, places: npt.NDArray[np.intp]) -> npt.NDArray[np.float64] | None:
        """Days before the newest of these rows."""
        if self.times is None:
            return None
        own = self.times[places]
        ages: npt.NDArray[np.float64] = (own.max() - own) / DAY
        return ages


def read_table(spec: DecisionSpec, snapshot: Columns, rules: RulesEngine) -> TableData:
    """Raises InvalidDocument where the rows are too few or of one label alone."""
    risk = spec.risk
    assert risk is not None and risk.label is not None  # the spec holds it so where no text is
    available = [name for name, one in spec.request.fields.items() if one.available]
    available += spec.entity_features
    wanted = [*available, risk.label, *([spec.training.kpi] if spec.training.kpi else [])]
    columns = snapshot.columns(wanted)
    labels = np.array(columns.pop(risk.label), dtype=np.float64)
    _refuse_few(labels)
    kpi = columns.pop(spec.training.kpi) if spec.training.kpi else None
    categories = {name: one.values for name, one in spec.request.fields.items()}
    matrix = compute_columns(risk.features, columns, len(labels), categories)
    time = spec.request.time_field
    return TableData(
        spec=spec,
        table=Table(
            rows=matrix,
            labels=labels,
            names=tuple(risk.features),
            categorical=categorical_of(spec),
        ),
        facts=columns,
        times=moments_of(columns[time]) if time else None,
        said=_said(rules if "rules" in spec.ladder else None, columns, len(labels)),
        kpi=None if kpi is None else np.array([np.nan if v is None else float(v) for v in kpi]),
    )


def categorical_of(spec: DecisionSpec) -> dict[int, int]:
    """Which features are codes of a category, by their place, and of how many values."""
    return {
        place: len(spec.request.fields[str(feature.of)].values)
        for place, feature in enumerate(spec.risk.features.values() if spec.risk else ())
        if feature.kind == "category"
    }


def _refuse_few(labels: Labels) -> None:
    if len(labels) < LEAST_ROWS:
        raise InvalidDocument(
            "RUNG-TABLE-SHORT",
            f"{len(labels)} rows are too few to fit and judge a model on",
            way_out=f"Bring {LEAST_ROWS} rows or more.",
        )
    if min(labels.sum(), len(labels) - labels.sum()) < LEAST_OF_EACH:
        raise InvalidDocument(
            "RUNG-RISK-LABELS",
            f"{int(labels.sum())} of {len(labels)} rows are labelled positive",
            way_out=f"Bring {LEAST_OF_EACH} rows or more of either label; see risk.positive.",
        )


def _said(
    rules: RulesEngine | None, columns: Mapping[str, Sequence[Any]], rows: int
) -> tuple[str | None, ...]:
    """`rules` None: the ladder does not ask them."""
    if rules is None or not rules.ruleset.rules:
        return (None,) * rows
    names = list(columns)
    said: list[str | None] = []
    for values in zip(*(columns[name] for name in names), strict=True):
        verdict = rules.decide(dict(zip(names, values, strict=True)))
        said.append(PERSON if verdict.escalate else next(iter(verdict.outcomes), None))
    return tuple(said)
