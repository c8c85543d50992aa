"""Figures of ranked lists against values worked elsewhere and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from lab.ranking_metrics import MEASURES, Gain, figures_by_query


@pytest.mark.parametrize(("gain", "value"), [("linear", 0.96081), ("exp", 0.94881)])
def test_ndcg_of_the_textbook_list(gain: Gain, value: float) -> None:
    """Relevances 3, 2, 3, 0, 1, 2 in this order (Wikipedia's example for NDCG, all six judged)."""
    names = [f"d{n}" for n in range(6)]
    relevance = {"q": dict(zip(names, [3, 2, 3, 0, 1, 2], strict=True))}
    figures = figures_by_query({"q": names}, relevance, ["ndcg@10"], gain=gain)
    assert figures["ndcg@10"][0] == pytest.approx(value, abs=5e-6)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=10).filter(any))
def test_ndcg_is_scikit_learns(relevances: list[int]) -> None:
    names = [f"d{n}" for n in range(len(relevances))]
    relevance = {"q": dict(zip(names, relevances, strict=True))}
    places = [-np.arange(len(relevances))]
    for gain, gains in (("linear", relevances), ("exp", [2**r - 1 for r in relevances])):
        figures = figures_by_query({"q": names}, relevance, ["ndcg@10"], gain=gain)
        assert figures["ndcg@10"][0] == pytest.approx(ndcg_score([gains], places))


def test_every_figure_of_one_list_by_hand() -> None:
    figures = figures_by_query({"q": ["x", "a", "y", "b"]}, {"q": {"a": 1, "b": 1, "c": 1}})
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert {name: values[0] for name, values in figures.items()} == pytest.approx(
        {
            "ndcg@10": (1 / math.log2(3) + 1 / math.log2(5)) / ideal,
            "ndcg@1": 0,
            "success@1": 0,
            "recall@100": 2 / 3,
            "map": (1 / 2 + 2 / 4) / 3,
            "mrr@10": 1 / 2,
        }
    )


def test_values_stand_in_the_order_of_the_queries_and_a_missing_run_scores_zero() -> None:
    relevance = {"q2": {"a": 1}, "q1": {"a": 1}, "q3": {"a": 1}}
    figures = figures_by_query({"q1": ["b", "a"], "q2": ["a"]}, relevance)
    assert figures["mrr@10"].tolist() == [1.0, 0.5, 0.0]
    assert set(figures) == set(MEASURES)
