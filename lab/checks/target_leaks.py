"""Fields that tell the target: equal to it, nearly equal, or so strong that they must be explained.

LEAK-TARGET-COPY and LEAK-DOMINANT.
"""

from typing import Any

import lightgbm
import numpy as np

from lab.checks.needs import needs_label, needs_targets
from lab.checks.predictive import FOLDS, Labels, auc_of, best, folds_of, sampled
from lab.checks.result import Check, Finding, issue, listed, passed, tip
from lab.checks.subject import COPY_AUC, Subject, taken
from lab.checks.values import Codes, Floats, text_lengths

DOMINANT_AUC = 0.80
DOMINANT_DROP = 0.05
MODEL_ROWS = 20_000  # a drop of .05 is some ten standard errors there
MOST_CATEGORIES = 200  # beyond it a column is read by how often its values come
ROUNDS = 60
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "max_bin": 63,  # half the time of 255; the third digit of the AUC is not asked for
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def _copies(subject: Subject) -> Finding:
    told_by = sorted(subject.copies.items(), key=lambda item: (-item[1][1].auc, item[0]))
    read = {name: subject.readers(name) for name, _ in told_by}
    copies = [name for name, _ in told_by if subject.is_copy(name)]
    figures: dict[str, Any] = {
        "threshold": COPY_AUC,
        "n": len(subject.sample),
        "rows": subject.rows.n,
        "fields": {
            name: {"target": target, **way.figures, "read_by": read[name]}
            for name, (target, way) in told_by
        },
        "copies": copies,
    }
    if not told_by:
        strongest = _strongest(subject)
        figures["strongest"] = strongest
        return passed(
            f"no field alone tells the target with an AUC of {COPY_AUC} or more"
            + (
                f"; the strongest is {strongest['field']} ({strongest['auc']:.3f})"
                if strongest
                else ""
            ),
            **figures,
        )
    told = {
        name: f"{name} (AUC {way.auc:.4f} of {target}, {_who_reads(read[name])})"
        for name, (target, way) in told_by
    }
    if not copies:
        return tip(
            f"one truth of the text is told by a field alone: {listed(list(told.values()))}; right "
            "if the field is filled in before",
            **figures,
        )
    shown = listed([told[name] for name in copies])
    return issue(f"computed from the target or nearly equal to it: {shown}", **figures)


def _who_reads(features: list[str]) -> str:
    return f"read by feature {', '.join(features)}" if features else "no feature reads it yet"


def _strongest(subject: Subject) -> dict[str, Any] | None:
    every = [
        (way.auc, name, target, way)
        for target, fields in subject.alone.items()
        for name, ways in fields.items()
        if (way := best(ways))
    ]
    if not every:
        return None
    _, name, target, way = max(every, key=lambda one: one[0])
    return {"field": name, "target": target, **way.figures}


def _dominant(subject: Subject) -> Finding:
    """By the label alone: what a text asks for is rightly told by what was chosen in a form."""
    ways = {
        name: way
        for name, of_field in subject.label_alone.items()
        if name not in subject.copies and (way := best(of_field, over_all_rows=True))
    }
    model = _model(subject, tuple(ways)) if ways else None
    found = {name: way.figures for name, way in ways.items() if way.auc >= DOMINANT_AUC}
    if model and model["drop"] >= DOMINANT_DROP:
        strongest = model["strongest"]
        found[strongest] = {**ways[strongest].figures, "drop": model["drop"]}
    figures = {
        "threshold": DOMINANT_AUC,
        "threshold_drop": DOMINANT_DROP,
        "fields": {
            name: {**told, "read_by": subject.readers(name)} for name, told in found.items()
        },
        "model": model,
        "left_out": sorted(subject.copies),
    }
    if not found:
        return passed(f"no field stands out{_of_model(model)}", **figures)
    told = [f"{name} (alone AUC {one['auc']:.3f})" for name, one in found.items()]
    together = model["auc"] if model else 0.0
    if max(together, *(one["auc"] for one in found.values())) < DOMINANT_AUC:
        # One honest field of modest worth may be all that there is.
        return tip(f"what is known rests on one field: {listed(told)}{_of_model(model)}", **figures)
    return issue(
        f"probably known only afterwards: {listed(told)}{_of_model(model)}",
        **figures,
    )


def _of_model(model: dict[str, Any] | None) -> str:
    if model is None:
        return ""
    return (
        f"; a quick model out of fold on {model['n']} rows has AUC {model['auc']:.3f}, and "
        f"{model['auc_without']:.3f} without {model['strongest']}"
    )


def _model(subject: Subject, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The AUC of boosted trees over random folds with all fields, and without the strongest."""
    rows = subject.rows
    label = rows.label
    assert label is not None
    places = sampled(rows.sequence, MODEL_ROWS, subject.seed)
    positive = label[places]
    folds = folds_of(rows.sequence[places], subject.seed)
    if any(np.ptp(positive[folds != fold].astype(int)) == 0 for fold in range(FOLDS)):
        return None
    columns = {name: _column(subject, name, places) for name in names}
    whole, gain = _out_of_fold_auc(columns, positive, folds, subject.seed)
    strongest = max(names, key=lambda name: (gain[name], name))
    rest = {name: column for name, column in columns.items() if name != strongest}
    without = _out_of_fold_auc(rest, positive, folds, subject.seed)[0] if rest else 0.5
    return {
        "auc": whole,
        "auc_without": without,
        "drop": whole - without,
        "strongest": strongest,
        "n": len(places),
        "rows": rows.n,
    }


def _column(subject: Subject, name: str, places: Codes) -> tuple[Floats, bool]:
    """Numbers, and whether they stand for categories."""
    values = taken(subject.rows.values(name), places)
    if values.numbers is not None:
        return values.numbers, False
    assert values.codes is not None
    if name == subject.spec.request.text:
        return text_lengths(values.levels, values.codes), False
    known = values.codes >= 0
    counts = np.bincount(values.codes[known], minlength=len(values.levels))
    if np.count_nonzero(counts) > MOST_CATEGORIES:
        often = np.append(counts, 0).astype(np.float64)
        return np.where(known, often[values.codes], np.nan), False
    return np.where(known, values.codes, np.nan).astype(np.float64), True


def _out_of_fold_auc(
    columns: dict[str, tuple[Floats, bool]], positive: Labels, folds: Codes, seed: int
) -> tuple[float, dict[str, float]]:
    """And what each column gained the trees, over the folds."""
    matrix = np.column_stack([column for column, _ in columns.values()])
    kinds = [place for place, (_, category) in enumerate(columns.values()) if category]
    scores = np.zeros(len(positive))
    gain = np.zeros(len(columns))
    for fold in range(FOLDS):
        held = folds == fold
        data = lightgbm.Dataset(
            matrix[~held], positive[~held].astype(np.float64), categorical_feature=kinds
        )
        booster = lightgbm.train({**PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)
        if held.any():
            scores[held] = np.asarray(booster.predict(matrix[held], num_threads=1))
        gain += booster.feature_importance("gain")
    return auc_of(scores, positive), dict(zip(columns, gain.tolist(), strict=True))


CHECKS = (
    Check(
        code="LEAK-TARGET-COPY",
        title="No field is computed from the target or nearly equal to it",
        severity="high",
        way_out="Declare the field available: false; what is written after the event is no input.",
        judge=_copies,
        needs=(needs_targets,),
    ),
    Check(
        code="LEAK-DOMINANT",
        title="No field is so strong that it is probably known only afterwards",
        severity="medium",
        way_out="Declare the field available: false, or write in its meaning why it is known then.",
        judge=_dominant,
        needs=(needs_label,),
    ),
)
