"""Fits the intent model; everything that is chosen is chosen on out-of-fold predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from core.calibration import TINY, FloatArray, softmax, temper
from core.embedding import TextEmbedder
from core.errors import InvalidDocument
from lab.fit_scope import FALSE_ALARMS, LEAST_OUTSIDERS, ScopeRows, fit_scope
from lab.folds import content_folds, normalised
from lab.linear_models import C, fit_text_classifier, fit_vector_classifier
from lab.tables import LabelledTexts
from router.intent import Cascade, IntentModel
from router.scope import Neighbours, cheap_features, full_features, split_other

FOLDS = 3
C_GRID = (5.0, C, 80.0)  # an inverse penalty is felt by its order of magnitude
MAX_EMBEDDING_SHARE = 0.4  # beyond it the cheap model saves too little
STOP_GRID = np.round(np.arange(0.5, 0.991, 0.01), 2)
MIX_GRID = np.round(np.arange(0.3, 0.81, 0.05), 2)
MOST_NEIGHBOURS = 20_000  # texts of either kind kept for the distance: 15 MB, compared in 2 ms
NEXT_TO_NOTHING = 0.001  # of log-loss a text, which is less than the folds can tell apart
LEAST_TEMPERED = 20  # a temperature of fewer rows is chance

Labels = npt.NDArray[np.intp]
Progress = Callable[[str], None]


def fit_intent(
    rows: LabelledTexts,
    embedder: TextEmbedder,
    *,
    out_of_scope: str | None = None,
    false_alarms: float = FALSE_ALARMS,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> IntentModel:
    """Rows labelled `out_of_scope` belong to no intent. `false_alarms` is the share of texts in
    scope that the model may call out of scope. The order of the rows makes no difference.

    Raises InvalidDocument where there is one intent only, or one with too few distinct texts.
    """
    data = _canonical(rows, out_of_scope)
    progress("embedding the training texts")
    vectors = embedder.encode(data.texts)
    held_out = _out_of_fold(data, vectors, seed, progress)
    inside = data.labels < len(data.intents)
    cheap, embedded = softmax(held_out.cheap), softmax(held_out.embedded)
    cascade = choose_cascade(cheap[inside], embedded[inside], data.labels[inside])
    gate = cascade.gate(cheap)
    scope = fit_scope(
        ScopeRows(
            cheap=cheap_features(gate, held_out.cheap_other),
            full=full_features(
                cascade.mixed(cheap, embedded),
                held_out.cheap_other,
                held_out.embedded_other,
                held_out.nearest,
            ),
            outside=~inside,
            unsure=gate.max(axis=1) < cascade.stop_at,
        ),
        false_alarms=false_alarms,
    )
    progress("fitting on all training rows")
    return IntentModel(
        intents=data.intents,
        cheap=fit_text_classifier(data.texts, data.labels, data.classes, c=held_out.cheap_c),
        embedded=fit_vector_classifier(vectors, data.labels, data.classes, c=held_out.embedded_c),
        embedder=embedder,
        cascade=cascade,
        scope=scope,
        neighbours=_neighbours(vectors, inside, seed),
    )


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Labels are places in `intents`, and one above them for outsiders."""

    texts: list[str]
    labels: Labels
    intents: tuple[str, ...]
    classes: int  # the intents, and the outsiders where there are any

    def folds(self, seed: int) -> npt.NDArray[np.intp]:
        return content_folds(self.texts, [str(label) for label in self.labels], FOLDS, seed=seed)


def _canonical(rows: LabelledTexts, out_of_scope: str | None) -> _Data:
    """Rows in an order of their own. Too few outsiders to learn from are left out."""
    pairs = sorted(zip(rows.texts, rows.labels, strict=True))
    distinct: dict[str, set[str]] = {}
    for text, label in pairs:
        distinct.setdefault(label, set()).add(normalised(text))
    outsiders = len(distinct.pop(out_of_scope, ())) if out_of_scope is not None else 0
    rarest = min(distinct, key=lambda label: (len(distinct[label]), label), default="")
    if len(distinct) < 2 or len(distinct[rarest]) < FOLDS:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"training needs two intents or more, each with at least {FOLDS} different texts",
            way_out=f"The rarest here is '{rarest}'; add texts to it, or remove it."
            if rarest
            else "Name the column of the intents, and rows that have one.",
        )
    if outsiders < LEAST_OUTSIDERS:
        pairs = [(text, label) for text, label in pairs if label in distinct]
    intents = tuple(sorted(distinct))
    place = {label: i for i, label in enumerate(intents)}
    labels = np.array([place.get(label, len(intents)) for _, label in pairs], dtype=np.intp)
    classes = len(intents) + (outsiders >= LEAST_OUTSIDERS)
    return _Data(texts=[t for t, _ in pairs], labels=labels, intents=intents, classes=classes)


@dataclass(frozen=True, kw_only=True)
class _HeldOut:
    """What models that have not seen a text say of it, row by row, and the C of those models."""

    cheap: FloatArray  # logits of the intents
    cheap_other: FloatArray
    embedded: FloatArray
    embedded_other: FloatArray
    nearest: FloatArray
    cheap_c: float
    embedded_c: float


def _out_of_fold(data: _Data, vectors: FloatArray, seed: int, progress: Progress) -> _HeldOut:
    folds, n, intents = data.folds(seed), len(data.labels), len(data.intents)
    cheap, embedded = np.empty((n, data.classes)), np.empty((n, data.classes))
    nearest = np.empty((n, 1 + data.classes - intents))
    first = folds == 0
    progress("choosing C on the first training fold: TF-IDF")
    cheap_c, cheap[first] = _choose_c(lambda c: _by_text(data, first, c), data.labels[first])
    progress("choosing C on the first training fold: embedding")
    embedded_c, embedded[first] = _choose_c(
        lambda c: _by_vector(data, vectors, first, c), data.labels[first]
    )
    progress(f"chosen: C = {cheap_c:g} for TF-IDF, {embedded_c:g} for the embedding")
    for fold in range(FOLDS):
        held = folds == fold
        near = _neighbours(vectors[~held], data.labels[~held] < intents, seed)
        nearest[held] = near.nearest(vectors[held])
        if fold:
            progress(f"predicting training fold {fold + 1} of {FOLDS}")
            cheap[held] = _by_text(data, held, cheap_c)
            embedded[held] = _by_vector(data, vectors, held, embedded_c)
    inside, cheap_other = split_other(cheap, intents)
    inside_embedded, embedded_other = split_other(embedded, intents)
    return _HeldOut(
        cheap=inside,
        cheap_other=cheap_other,
        embedded=inside_embedded,
        embedded_other=embedded_other,
        nearest=nearest,
        cheap_c=cheap_c,
        embedded_c=embedded_c,
    )


def _by_text(data: _Data, held: npt.NDArray[np.bool_], c: float) -> FloatArray:
    """Logits of the held-out texts."""
    seen, asked = np.flatnonzero(~held), np.flatnonzero(held)
    fitted = fit_text_classifier(
        [data.texts[row] for row in seen], data.labels[seen], data.classes, c=c
    )
    return fitted.of_texts([data.texts[row] for row in asked])


def _by_vector(
    data: _Data, vectors: FloatArray, held: npt.NDArray[np.bool_], c: float
) -> FloatArray:
    fitted = fit_vector_classifier(vectors[~held], data.labels[~held], data.classes, c=c)
    return fitted.of_vectors(vectors[held])


def _choose_c(logits_at: Callable[[float], FloatArray], labels: Labels) -> tuple[float, FloatArray]:
    """By log-loss on one fold alone: three would cost thrice and hardly ever choose another."""
    logits = {c: logits_at(c) for c in C_GRID}
    best = min(C_GRID, key=lambda c: _tempered(softmax(logits[c]), labels)[1])
    return best, logits[best]


def _neighbours(vectors: FloatArray, inside: npt.NDArray[np.bool_], seed: int) -> Neighbours:
    """All of them, or as many of either kind as can be compared in time."""
    source = np.random.default_rng(seed)
    kinds = []
    for rows in (np.flatnonzero(inside), np.flatnonzero(~inside)):
        if len(rows) > MOST_NEIGHBOURS:
            rows = np.sort(source.permutation(rows)[:MOST_NEIGHBOURS])
        kinds.append(vectors[rows].astype(np.float16))
    return Neighbours(inside=kinds[0], outside=kinds[1])


def choose_cascade(cheap: FloatArray, embedded: FloatArray, labels: Labels) -> Cascade:
    """The mix by log-loss, then the earliest stop that loses next to nothing of what can be had.

    Last, each part's temperature by the log-loss of the texts that it will answer.
    """
    mixes = [(1 - w) * cheap + w * embedded for w in MIX_GRID]
    best = int(np.argmin([_tempered(mix, labels)[1] for mix in mixes]))
    mixed = mixes[best]
    gate_temperature, _ = _tempered(cheap, labels)
    alone = temper(cheap, gate_temperature)
    together = temper(mixed, _tempered(mixed, labels)[0])
    top = alone.max(axis=1)
    losses = {}
    for stop in STOP_GRID:
        unsure = top < stop
        if unsure.mean() <= MAX_EMBEDDING_SHARE:
            answers = np.where(unsure[:, None], together, alone)
            losses[float(stop)] = _log_loss(answers, labels)
    # Where every stop embeds too much, the smallest one comes nearest to the bound.
    least = min(losses.values(), default=0.0)
    stop_at = min(
        (stop for stop, loss in losses.items() if loss <= least + NEXT_TO_NOTHING),
        default=float(STOP_GRID[0]),
    )
    unsure = top < stop_at
    return Cascade(
        gate_temperature=gate_temperature,
        stop_at=stop_at,
        mix_weight=float(MIX_GRID[best]),
        cheap_temperature=_tempered(cheap[~unsure], labels[~unsure], gate_temperature)[0],
        mix_temperature=_tempered(mixed[unsure], labels[unsure], gate_temperature)[0],
    )


def _tempered(
    probabilities: FloatArray, labels: Labels, otherwise: float = 1.0
) -> tuple[float, float]:
    """The best temperature and its log-loss; `otherwise` where there are too few rows to tell."""
    if len(labels) < LEAST_TEMPERED:
        return otherwise, _log_loss(temper(probabilities, otherwise), labels)
    found = minimize_scalar(
        lambda t: _log_loss(temper(probabilities, t), labels), bounds=(0.1, 5), method="bounded"
    )
    return float(found.x), float(found.fun)


def _log_loss(probabilities: FloatArray, labels: Sequence[int] | Labels) -> float:
    right = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(right, TINY, 1)).mean()) if len(labels) else 0.0
