"""Fits how probably an answer made from several passages is right, on held-out rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from core.contracts import ANSWER
from core.spec import DecisionSpec
from lab.traces import Observed, is_right
from router.rungs import LanguageRung, LanguageVerdicts
from router.support import SupportModel, features

LEAST_OF_EACH = 5  # right and wrong answers; below it a slope is noise


def fit_support(seen: Sequence[Observed]) -> SupportModel:
    """The unfitted model where too few answers, right or wrong, were made."""
    rows, labels = [], []
    for one in seen:
        for verdict in one.verdicts:
            if verdict.rung == LanguageRung.name and verdict.answer and one.row.truth == ANSWER:
                rows.append(features(one.known.quality_any or 0.0, verdict.answer))
                labels.append(is_right(one.row, ANSWER, verdict))
    right = int(np.sum(labels))
    if min(right, len(labels) - right) < LEAST_OF_EACH:
        return SupportModel()
    # C=1: an L2 prior of unit weight on two features of order one.
    model = LogisticRegression(C=1.0).fit(np.array(rows), np.array(labels))
    of_quality, of_citations = (float(weight) for weight in model.coef_[0])
    return SupportModel(
        bias=float(model.intercept_[0]), of_quality=of_quality, of_citations=of_citations
    )


def with_support(support: SupportModel, spec: DecisionSpec, one: Observed) -> Observed:
    """The same observation as the fitted model would have believed it."""
    says = LanguageVerdicts(outcomes=tuple(spec.outcomes), support=support, version="")
    verdicts = []
    for verdict in one.verdicts:
        if verdict.rung == LanguageRung.name and verdict.answer:
            belief = says.answering(verdict.answer, one.known).belief
            verdict = replace(verdict, belief=belief)
        verdicts.append(verdict)
    foreseen = {**one.foreseen, LanguageRung.name: says.prospects(one.known)}
    return replace(one, verdicts=tuple(verdicts), foreseen=foreseen)
