"""Figures of one list against trec_eval (through ir-measures) and scikit-learn."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, nDCG
from sklearn.metrics import average_precision_score, ndcg_score

from lab.statistics import average_precision, ndcg, reciprocal_rank


def by_trec_eval(relevances: list[int]) -> tuple[float, float, float]:
    names = [f"d{place:02d}" for place in range(len(relevances))]
    judged = {"q": dict(zip(names, relevances, strict=True))}
    scored = {"q": {name: float(-place) for place, name in enumerate(names)}}
    measures = (nDCG @ 100, AP, RR)
    told = ir_measures.calc_aggregate(list(measures), judged, scored)
    return told[measures[0]], told[AP], told[RR]


def test_the_two_gains() -> None:
    relevances = [3, 2, 3, 0, 1, 2]
    assert ndcg(relevances, gain="linear") == pytest.approx(0.96081, abs=5e-6)
    assert ndcg(relevances, gain="exponential") == pytest.approx(0.94881, abs=5e-6)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_against_trec_eval(relevances: list[int]) -> None:
    relevant = [grade > 0 for grade in relevances]
    linear, precision, reciprocal = by_trec_eval(relevances)
    assert ndcg(relevances, gain="linear") == pytest.approx(linear)
    assert average_precision(relevant) == pytest.approx(precision)
    assert reciprocal_rank(relevant) == pytest.approx(reciprocal)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(1, 30))
def test_against_scikit_learn(relevances: list[int], cut: int) -> None:
    places = -np.arange(len(relevances), dtype=float)
    expected = ndcg_score([relevances], [places], k=cut)
    assert ndcg(relevances, gain="linear", cut=cut) == pytest.approx(expected)
    gains = [2**grade - 1 for grade in relevances]
    expected = ndcg_score([gains], [places], k=cut)
    assert ndcg(relevances, gain="exponential", cut=cut) == pytest.approx(expected)
    relevant = np.array(relevances) > 0
    if relevant.any():
        expected = average_precision_score(relevant, places)
        assert average_precision(list(relevant)) == pytest.approx(expected)


def test_what_the_list_lacks_counts() -> None:
    assert ndcg([1], gain="linear", judged=[1, 1]) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert average_precision([True, False], judged=4) == 0.25
    assert ndcg([0, 0], gain="linear") == average_precision([]) == reciprocal_rank([False]) == 0
