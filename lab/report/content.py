"""A report's content in the order in which somebody who decides whether to ship reads it."""

from collections.abc import Mapping, Sequence
from typing import Any

from lab.evaluation import Evaluation
from lab.report.blocks import Content, Section
from lab.report.business import checks_section, cost_section, notes_section, together_section
from lab.report.ladder import comparison_section, ladder_section
from lab.report.models import (
    calibration_section,
    conformal_section,
    confusion_section,
    curves_section,
)
from lab.report.slices import slices_section
from lab.report.verdict import facts, gate_section, split_section, verdict, warnings


def content_of(evaluation: Evaluation, checks: Sequence[Mapping[str, Any]]) -> Content:
    """Sections without data are left out."""
    told, mark, why = verdict(evaluation)
    own = evaluation
    sections: list[Section | None] = [
        gate_section(own) if own.gate.reasons else None,
        split_section(own.split),
        ladder_section(own),
        comparison_section(own.split_comparison) if own.split_comparison else None,
        slices_section(own) if own.slices else None,
        calibration_section(own.reliability) if own.reliability else None,
        cost_section(own.cost_curve, own.weighting, own.unit),
        curves_section(own.curves) if own.curves else None,
        confusion_section(own.confusion) if own.confusion else None,
        conformal_section(own.conformal) if own.conformal else None,
        together_section(own.together) if own.together else None,
        notes_section(own.notes) if own.notes else None,
        checks_section(checks) if checks else None,
    ]
    return Content(
        title=own.decision,
        verdict=told,
        mark=mark,
        why=why,
        warnings=warnings(own),
        facts=facts(own),
        sections=tuple(section for section in sections if section is not None),
    )
