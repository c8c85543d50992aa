"""The arrays against scikit-learn, which fitted them."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from core.calibration import softmax
from lab.linear_models import fit_text_classifier, fit_vector_classifier
from router.linear import TermSpace, ngrams

TEXTS = [
    "my card was lost and I lost my card again",
    "the transfer is late, where is my transfer?",
    "why a fee? an extra fee was charged",
    "a card fee for a card",
    "transfer my money to the card",
    "late late late",
]
LABELS = np.array([0, 1, 2, 2, 0, 1])


@given(st.text(max_size=60), st.sampled_from([(1, 1), (1, 2), (2, 4), (3, 5)]))
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("of", ["word", "char_wb"])
def test_ngrams_are_those_of_scikit_learn(
    of: Literal["word", "char_wb"], text: str, lengths: tuple[int, int]
) -> None:
    analyze = TfidfVectorizer(analyzer=of, ngram_range=lengths).build_analyzer()
    assert sorted(ngrams(text.lower(), of, lengths)) == sorted(analyze(text))


@given(st.text(alphabet=st.sampled_from("acdrfeltsn ?é\n"), max_size=60))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("of", ["word", "char_wb"])
def test_weights_are_those_of_a_vectorizer_with_the_same_terms_and_idf(
    of: Literal["word", "char_wb"], text: str
) -> None:
    lengths = (1, 2) if of == "word" else (2, 4)
    fitted = TfidfVectorizer(analyzer=of, ngram_range=lengths, sublinear_tf=True).fit(TEXTS)
    space = TermSpace(
        of=of,
        lengths=lengths,
        terms=tuple(fitted.get_feature_names_out()),
        idf=fitted.idf_.astype(np.float32),
    )
    oracle = TfidfVectorizer(
        analyzer=of, ngram_range=lengths, sublinear_tf=True, vocabulary=list(space.terms)
    )
    oracle.idf_ = space.idf.astype(np.float64)
    row = np.zeros(len(space.terms))
    places, weights = space.weigh(text)
    row[places] = weights
    np.testing.assert_allclose(row, oracle.transform([text]).toarray()[0], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn(classes: int) -> None:
    labels = LABELS % classes
    fitted = fit_text_classifier(TEXTS, labels, classes)
    asked = [*TEXTS, "", "?", "nothing known", "card " * 500, "\ud800 card"]
    columns = []
    for space in fitted.spaces:
        oracle = TfidfVectorizer(
            analyzer=space.of,
            ngram_range=space.lengths,
            sublinear_tf=True,
            vocabulary=list(space.terms),
        )
        oracle.idf_ = space.idf.astype(np.float64)
        columns.append(oracle.transform(asked).toarray())
    model = LogisticRegression()
    model.classes_ = np.arange(classes)
    weights = fitted.linear.weights.astype(np.float64).T
    bias = fitted.linear.bias
    if classes == 2:  # scikit-learn keeps two classes as one sigmoid
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
    model.coef_, model.intercept_ = weights, bias
    expected = model.predict_proba(np.hstack(columns))
    np.testing.assert_allclose(softmax(fitted.of_texts(asked)), expected, atol=1e-9)


def test_a_fit_agrees_with_the_scikit_learn_pipeline_that_made_it() -> None:
    """Up to single precision, in which it was fitted."""
    fitted = fit_text_classifier(TEXTS, LABELS, 3)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    characters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32
    )
    rows = np.hstack([v.fit_transform(TEXTS).toarray() for v in (words, characters)])
    model = LogisticRegression(C=20, max_iter=300, tol=1e-4).fit(rows, LABELS)
    np.testing.assert_allclose(
        softmax(fitted.of_texts(TEXTS)), model.predict_proba(rows), atol=2e-2
    )


def test_vectors_are_classified_as_scikit_learn_does() -> None:
    source = np.random.default_rng(0)
    vectors = source.normal(size=(90, 8)).astype(np.float32)
    labels = vectors[:, :3].argmax(axis=1)
    fitted = fit_vector_classifier(vectors, labels, 3)
    oracle: Any = LogisticRegression()
    oracle.classes_ = np.arange(3)
    oracle.coef_ = fitted.weights.astype(np.float64).T
    oracle.intercept_ = fitted.bias
    expected = oracle.predict_proba(vectors.astype(np.float64))
    np.testing.assert_allclose(softmax(fitted.of_vectors(vectors)), expected, atol=1e-9)


def test_a_class_that_a_fit_never_saw_has_no_probability() -> None:
    fitted = fit_text_classifier(TEXTS, LABELS, 5)
    probabilities = softmax(fitted.of_texts(TEXTS))
    assert probabilities.shape == (6, 5)
    np.testing.assert_array_equal(probabilities[:, 3:], 0)


def test_a_text_is_read_alike_alone_and_in_a_batch() -> None:
    fitted = fit_text_classifier(TEXTS, LABELS, 3)
    together = fitted.of_texts(TEXTS)
    for row, text in enumerate(TEXTS):
        np.testing.assert_array_equal(fitted.of_texts([text])[0], together[row])
