"""Benjamini-Hochberg on the p-values of the paper that introduced it."""

import numpy as np
import pytest

from lab.statistics import benjamini_hochberg

# Benjamini & Hochberg 1995, section 3.2: 15 hypotheses on thrombolysis
PAPER = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def test_the_paper_rejects_four() -> None:
    q, rejected = benjamini_hochberg(PAPER)
    assert rejected.tolist() == [True] * 4 + [False] * 11
    assert q[3] == pytest.approx(0.0095 * 15 / 4)
    assert (np.array(PAPER) <= 0.05).sum() == 9  # each on its own


def test_any_order_and_none() -> None:
    order = np.random.default_rng(0).permutation(len(PAPER))
    q, rejected = benjamini_hochberg(np.array(PAPER)[order])
    assert np.array_equal(q, benjamini_hochberg(PAPER)[0][order])
    assert rejected.sum() == 4
    assert benjamini_hochberg([])[0].size == 0
    with pytest.raises(ValueError):
        benjamini_hochberg([1.2])
