"""The quality scorer: calibrated on what it never saw, and better than the cosine alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.calibration import sigmoid
from lab.fit_quality import JudgedList, fit_quality, roc_auc
from rankers.features import FEATURES
from rankers.quality import QualityScorer
from rankers.ranker import Ranked


def lists(n: int, *, seed: int = 0) -> tuple[list[JudgedList], np.ndarray]:
    """Right with a chance that margin and coverage decide; the cosine is noise."""
    source = np.random.default_rng(seed)
    judged, chances = [], []
    for place in range(n):
        margin, coverage = source.random(2)
        matrix = source.random((4, len(FEATURES))) * 0.5
        matrix[0, FEATURES.index("coverage")] = coverage
        scores = np.array([2 + margin, 2, 1, 0.5])
        chance = float(sigmoid(np.array(5 * margin + 3 * coverage - 4)))
        first = bool(source.random() < chance)
        judged.append(
            JudgedList(
                ranked=Ranked(rows=np.arange(4), scores=scores, matrix=matrix),
                first_right=first,
                cited_right=first or bool(source.random() < 0.5),
                group=f"g{place // 3}",
            )
        )
        chances.append(chance)
    return judged, np.array(chances)


def test_probabilities_are_near_the_truth_and_beat_the_cosine() -> None:
    judged, _ = lists(900)
    fitted = fit_quality(judged)
    fresh, chances = lists(600, seed=1)
    said = np.array([fitted.scorer.probabilities(one.ranked) for one in fresh])
    assert np.abs(said[:, 0] - chances).mean() < 0.08
    assert (said[:, 1] >= said[:, 0]).all()
    report = fitted.report["first"]
    assert report["uplift"]["ci_low"] > 0.1
    assert report["roc_auc_cosine"]["ci_low"] < 0.55
    labels = np.array([one.first_right for one in fresh])
    low, high = report["roc_auc"]["ci_low"], report["roc_auc"]["ci_high"]
    assert low - 0.03 < roc_auc_score(labels, said[:, 0]) < high + 0.03


def test_the_order_of_the_lists_has_no_say() -> None:
    judged, _ = lists(200)
    one, two = fit_quality(judged), fit_quality(judged[::-1])
    assert one.scorer.to_files() == two.scorer.to_files() and one.report == two.report


def test_files_bring_back_the_same_scorer() -> None:
    judged, _ = lists(200)
    scorer = fit_quality(judged).scorer
    loaded = QualityScorer.from_files(scorer.to_files())
    assert loaded == scorer and loaded.to_files() == scorer.to_files()


@pytest.mark.parametrize("right", [True, False])
def test_labels_of_one_kind_give_the_rule_of_succession(right: bool) -> None:
    judged, _ = lists(30)
    same = [
        JudgedList(ranked=one.ranked, first_right=right, cited_right=right, group=one.group)
        for one in judged
    ]
    first, cited = fit_quality(same).scorer.probabilities(judged[0].ranked)
    assert first == cited == pytest.approx(31 / 32 if right else 1 / 32)


def test_no_lists_at_all_say_one_half() -> None:
    fitted = fit_quality([])
    assert fitted.scorer.probabilities(lists(1)[0][0].ranked) == (pytest.approx(0.5),) * 2
    assert fitted.report["first"]["n"] == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_roc_auc_is_scikit_learns(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([right for right, _ in rows])
    scores = np.array([float(score) for _, score in rows])
    if labels.any() and not labels.all():
        assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
