"""Fits with scikit-learn what the router then applies as plain arrays."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from core.calibration import FloatArray
from core.errors import InvalidDocument
from router.linear import LinearClassifier, TermSpace, TextClassifier

# Of banking77's first fold: C=20 beats 5 and 60 in log-loss for either model, and n-grams up to 4
# beat 5. A term that occurs once in so many texts costs half of the weights and gains nothing.
C = 20.0
SPACES: tuple[tuple[Literal["word", "char_wb"], tuple[int, int]], ...] = (
    ("word", (1, 2)),
    ("char_wb", (2, 4)),
)
MANY_TEXTS = 1000
NEVER = -1e9  # the logit of a class without rows: its probability is exactly 0

Labels = npt.NDArray[np.intp]


def fit_text_classifier(
    texts: Sequence[str], labels: Labels, classes: int, *, c: float = C
) -> TextClassifier:
    """Raises InvalidDocument where the texts hold no words. `labels` are places below `classes`."""
    spaces, columns = [], []
    for of, lengths in SPACES:
        vectorizer = TfidfVectorizer(
            analyzer=of,
            ngram_range=lengths,
            sublinear_tf=True,
            dtype=np.float32,
            min_df=2 if len(texts) >= MANY_TEXTS else 1,
        )
        try:
            columns.append(vectorizer.fit_transform(texts))
        except ValueError as error:  # what it raises has no type of its own
            raise InvalidDocument(
                "RUNG-TABLE-EMPTY",
                "the training texts hold no words",
                way_out="Name the column that holds the text.",
            ) from error
        terms = tuple(map(str, vectorizer.get_feature_names_out()))
        idf = vectorizer.idf_.astype(np.float32)
        spaces.append(TermSpace(of=of, lengths=lengths, terms=terms, idf=idf))
    linear = _fit(hstack(columns).tocsr(), labels, classes, c)
    return TextClassifier(spaces=tuple(spaces), linear=linear)


def fit_vector_classifier(
    vectors: FloatArray, labels: Labels, classes: int, *, c: float = C
) -> LinearClassifier:
    return _fit(vectors, labels, classes, c)


def _fit(rows: Any, labels: Labels, classes: int, c: float) -> LinearClassifier:
    weights = np.zeros((rows.shape[1], classes), dtype=np.float32)
    bias = np.full(classes, NEVER)
    seen = np.unique(labels)
    if len(seen) == 1:
        bias[seen] = 0.0
        return LinearClassifier(weights=weights, bias=bias)
    model = LogisticRegression(C=c, max_iter=300).fit(rows, labels)
    bias[seen] = 0.0
    if len(seen) == 2:  # scikit-learn keeps two classes as one column, of the second
        weights[:, seen[1]] = model.coef_[0]
        bias[seen[1]] = model.intercept_[0]
    else:
        weights[:, seen] = model.coef_.T
        bias[seen] = model.intercept_
    return LinearClassifier(weights=weights, bias=bias)
