"""Fits the intent model; everything that is chosen is chosen on out-of-fold predictions."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from core.embedding import FloatArray, TextEmbedder
from core.errors import InvalidDocument
from lab.tables import LabelledTexts
from router.intent import Cascade, IntentModel, temper

FOLDS = 3
MAX_EMBEDDING_SHARE = 0.4  # beyond it the cheap model saves too little
STOP_GRID = np.round(np.arange(0.5, 0.991, 0.01), 2)
MIX_GRID = np.round(np.arange(0.3, 0.81, 0.05), 2)


def cheap_classifier() -> Pipeline:
    """TF-IDF of words and of characters within words, and a multinomial logistic regression."""
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32
        ),
    )
    return make_pipeline(features, LogisticRegression(C=20, max_iter=300))


def embedded_classifier() -> LogisticRegression:
    return LogisticRegression(C=20, max_iter=300)


def fit_intent(
    data: LabelledTexts,
    embedder: TextEmbedder,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> IntentModel:
    """Raises InvalidDocument where there is one intent only, or one with too few rows."""
    counts = Counter(data.labels)
    if len(counts) < 2 or min(counts.values()) < FOLDS:
        raise InvalidDocument(
            "RUNG-TABLE-CLASSES",
            f"training needs two intents or more, each with at least {FOLDS} rows",
            way_out=f"The rarest here: {counts.most_common()[-1]}.",
        )
    intents = tuple(sorted(counts))
    labels = np.searchsorted(intents, data.labels)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)

    def out_of_fold(classifier: Any, rows: Any) -> FloatArray:
        result: FloatArray = cross_val_predict(
            classifier, rows, labels, cv=folds, method="predict_proba"
        )
        return result

    progress("embedding the training texts")
    vectors = embedder.encode(data.texts)
    progress("choosing on training folds: TF-IDF")
    try:
        cheap = out_of_fold(cheap_classifier(), data.texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        raise InvalidDocument(
            "RUNG-TABLE-EMPTY",
            "the training texts hold no words",
            way_out="Name the column that holds the text.",
        ) from error
    progress("choosing on training folds: embedding")
    embedded = out_of_fold(embedded_classifier(), vectors)
    cascade = choose_cascade(cheap, embedded, labels)
    progress("fitting on all training rows")
    return IntentModel(
        intents=intents,
        cheap=cheap_classifier().fit(data.texts, labels),
        embedded=embedded_classifier().fit(vectors, labels),
        embedder=embedder,
        cascade=cascade,
    )


def choose_cascade(cheap: FloatArray, embedded: FloatArray, labels: Any) -> Cascade:
    """The mix by log-loss, then the stop by accuracy among those that need few embeddings."""
    mixes = [(1 - w) * cheap + w * embedded for w in MIX_GRID]
    best = int(np.argmin([log_loss(labels, _tempered(mix, labels)[1]) for mix in mixes]))
    mix_temperature, mixed = _tempered(mixes[best], labels)
    cheap_temperature, alone = _tempered(cheap, labels)
    top = alone.max(axis=1)
    options = []
    for stop in STOP_GRID:
        unsure = top < stop
        answers = np.where(unsure, mixed.argmax(axis=1), alone.argmax(axis=1))
        if unsure.mean() <= MAX_EMBEDDING_SHARE:
            options.append((float((answers == labels).mean()), -float(unsure.mean()), float(stop)))
    # Where every stop embeds too much, the smallest one comes nearest to the bound.
    stop_at = max(options)[2] if options else float(STOP_GRID[0])
    return Cascade(
        cheap_temperature=cheap_temperature,
        mix_weight=float(MIX_GRID[best]),
        mix_temperature=mix_temperature,
        stop_at=stop_at,
    )


def _tempered(probabilities: FloatArray, labels: Any) -> tuple[float, FloatArray]:
    found = minimize_scalar(
        lambda t: log_loss(labels, temper(probabilities, t)), bounds=(0.1, 5), method="bounded"
    )
    return float(found.x), temper(probabilities, float(found.x))
