"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evaluation import Figure
from lab.report.amounts import MINUS, amount, figure_text, metric_name, percent, rows_text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (27666.909, "27,667"),
        (12.33309, "12.33"),
        (0.4534982, "0.453"),
        (0.00646761, "0.00647"),
        (-0.8473, f"{MINUS}0.847"),
        (80.0, "80"),
        (0.01, "0.01"),
        (1000.0, "1,000"),
        (0.0, "0"),
        (-0.0, "0"),
        (999.96, "1,000"),
    ],
)
def test_four_digits_at_most_and_thousands_apart(value: float, told: str) -> None:
    assert amount(value) == told


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_what_is_shown_is_within_half_a_percent(value: float) -> None:
    assert float(amount(value).replace(",", "")) == pytest.approx(value, rel=5.1e-3)


def test_a_narrow_interval_keeps_its_ends_apart() -> None:
    narrow = Figure(mean=0.97012, ci_low=0.97001, ci_high=0.97024, n=10)
    assert figure_text(narrow) == "0.9701 (0.9700 to 0.9702), n = 10"


def test_a_figure_of_one_value_and_one_without_rows_to_spare() -> None:
    assert figure_text(Figure(mean=0, ci_low=0, ci_high=0, n=1)) == "0 (0 to 0), n = 1"


def test_clusters_are_told_only_where_they_differ_from_rows() -> None:
    assert rows_text(1200, 300) == "n = 1,200 in 300 clusters"
    assert rows_text(1200, 1200) == rows_text(1200, None) == "n = 1,200"


def test_a_share_is_never_rounded_to_a_certainty() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.308, 0.9999, 1)] == [
        "0.0 %",
        "< 0.1 %",
        "30.8 %",
        "> 99.9 %",
        "100.0 %",
    ]


def test_metrics_have_the_names_of_the_field() -> None:
    names = ("auc", "ndcg@10", "average_precision", "recall@100", "map", "mrr@10")
    assert [metric_name(name) for name in names] == [
        "AUC",
        "NDCG@10",
        "average precision",
        "recall@100",
        "MAP",
        "MRR@10",
    ]
