"""The figures of `evaluate router` against scikit-learn, scipy and plain readings."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, log_loss, roc_auc_score

from core.errors import InvalidDocument
from lab.evaluate_router import ece_null, evaluate_router, expected_calibration_error
from lab.fit_intent import fit_intent
from lab.tables import LabelledTexts, read_labelled_texts
from tests.fakes.hashing_embedder import HashingEmbedder

WORDS = {
    "card_lost": ["lost", "card", "missing", "wallet", "stolen"],
    "transfer_late": ["transfer", "late", "arrived", "pending", "days"],
    "fee": ["fee", "charged", "cost", "extra", "why"],
}


def write(path: Path, seed: int, n: int, shuffle: int = 0) -> Path:
    source = random.Random(seed)
    rows = []
    for _ in range(n):
        label = source.choice(sorted(WORDS))
        pool = WORDS[label] * 3 + [word for words in WORDS.values() for word in words]
        rows.append(f"{' '.join(source.choices(pool, k=4))},{label}")
    random.Random(shuffle).shuffle(rows)
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def read(path: Path) -> LabelledTexts:
    return read_labelled_texts(path, text="text", label="label")


def report(tmp_path: Path, shuffle: int) -> dict[str, Any]:
    train = read(write(tmp_path / "train.csv", 1, 240, shuffle))
    test = read(write(tmp_path / "test.csv", 2, 120, shuffle))
    return evaluate_router(fit_intent(train, HashingEmbedder()), train, test)


def with_outsiders(rows: LabelledTexts) -> LabelledTexts:
    """The fee questions belong to no intent."""
    labels = ["oos" if label == "fee" else label for label in rows.labels]
    return LabelledTexts(texts=rows.texts, labels=labels)


def test_figures_and_their_independence_of_row_order(tmp_path: Path) -> None:
    told, shuffled = report(tmp_path, 0), report(tmp_path, 7)
    for figures in (told, shuffled):
        assert set(figures.pop("latency_ms")) == {"p50", "p99", "n"}
    assert told == shuffled
    assert told["baselines"]["majority"]["ci_low"] > 0
    assert told["intervals"]["accuracy"][0] <= told["accuracy"] <= told["intervals"]["accuracy"][1]
    assert told["coverage"][-1]["accuracy"] == told["accuracy"]
    json.dumps(told, allow_nan=False)


def test_figures_are_those_of_the_predictions(tmp_path: Path) -> None:
    train = read(write(tmp_path / "train.csv", 1, 240))
    test = read(write(tmp_path / "test.csv", 2, 120))
    model = fit_intent(train, HashingEmbedder())
    told = evaluate_router(model, train, test)
    prediction = model.predict(test.texts)
    truth = np.searchsorted(model.intents, test.labels)
    believed = prediction.probabilities
    assert told["accuracy"] == accuracy_score(truth, believed.argmax(axis=1))
    assert told["macro_f1"] == f1_score(truth, believed.argmax(axis=1), average="macro")
    assert told["log_loss"] == pytest.approx(log_loss(truth, believed))
    assert told["brier"] == pytest.approx(brier_score_loss(truth, believed, scale_by_half=False))
    assert told["embedding_share"] == prediction.embedded.mean()
    assert told["abstained"] == prediction.abstains.mean()


def test_outsiders_are_told_apart_and_counted_as_defined(tmp_path: Path) -> None:
    train = with_outsiders(read(write(tmp_path / "train.csv", 1, 600)))
    test = with_outsiders(read(write(tmp_path / "test.csv", 2, 300)))
    model = fit_intent(train, HashingEmbedder(), out_of_scope="oos")
    assert model.intents == ("card_lost", "transfer_late")
    told = evaluate_router(model, train, test, out_of_scope="oos")
    prediction = model.predict(test.texts)
    outside = np.array(test.labels) == "oos"
    chosen = np.array(model.intents)[prediction.probabilities.argmax(axis=1)]
    answers = np.where(prediction.abstains, "oos", chosen)
    right = answers == np.array(test.labels)
    assert told["accuracy"] == right.mean()
    assert told["oos_recall"] == prediction.abstains[outside].mean()
    assert told["oos_false_alarms"] == prediction.abstains[~outside].mean()
    assert told["in_scope_accuracy"] == right[~outside].mean()
    assert told["oos_auroc"] == pytest.approx(roc_auc_score(outside, prediction.out_of_scope))
    assert told["oos_auroc"] > 0.8 and told["oos_recall"] > 0.4
    for figure, (low, high) in told["oos_intervals"].items():
        assert low <= told[figure] <= high
    assert told["oos_n"] == {"out_of_scope": outside.sum(), "in_scope": (~outside).sum()}


def test_outsiders_that_training_never_saw(tmp_path: Path) -> None:
    train = read(write(tmp_path / "train.csv", 1, 600))
    inside = [row for row, label in enumerate(train.labels) if label != "fee"]
    known = LabelledTexts(
        texts=[train.texts[row] for row in inside], labels=[train.labels[row] for row in inside]
    )
    test = with_outsiders(read(write(tmp_path / "test.csv", 2, 300)))
    model = fit_intent(known, HashingEmbedder(), out_of_scope="oos")
    told = evaluate_router(model, known, test, out_of_scope="oos")
    assert told["oos_auroc"] > 0.6


def test_slices_have_wilsons_interval_or_too_few_rows(tmp_path: Path) -> None:
    train = read(write(tmp_path / "train.csv", 1, 240))
    test = read(write(tmp_path / "test.csv", 2, 120))
    plans = ["gold"] * 100 + ["basic"] * 20
    sliced = LabelledTexts(texts=test.texts, labels=test.labels, slices={"plan": plans})
    model = fit_intent(train, HashingEmbedder())
    told = evaluate_router(model, train, sliced)["slices"]["plan"]
    assert told["basic"] == {"n": 20, "verdict": "insufficient data"}
    truth = np.searchsorted(model.intents, test.labels[:100])
    right = int((model.predict(test.texts[:100]).probabilities.argmax(axis=1) == truth).sum())
    interval = binomtest(right, 100).proportion_ci(method="wilson")
    assert told["gold"] == {
        "accuracy": right / 100,
        "n": 100,
        "ci_low": pytest.approx(interval.low),
        "ci_high": pytest.approx(interval.high),
    }


def test_ece_against_a_brute_force_reading() -> None:
    source = np.random.default_rng(3)
    top, right = source.uniform(0, 1, 500), source.random(500) < 0.6
    slow = 0.0
    for low in range(15):
        members = [i for i in range(500) if low / 15 <= top[i] < (low + 1) / 15]
        if members:
            slow += len(members) / 500 * abs(np.mean(right[members]) - np.mean(top[members]))
    assert expected_calibration_error(top, right) == pytest.approx(slow)


@pytest.mark.parametrize(("n", "expected"), [(100, 0.1225), (1000, 0.0385), (10_000, 0.0120)])
def test_the_null_of_the_ece_shrinks_as_is_known(n: int, expected: float) -> None:
    """Means of a perfectly calibrated model with uniform confidences, simulated elsewhere."""
    told = ece_null(np.random.default_rng(0).uniform(0, 1, n))
    assert told["mean"] == pytest.approx(expected, rel=0.1)
    assert told["mean"] < told["p95"] < 2 * told["mean"]


def test_test_labels_that_cannot_be_judged_are_refused(tmp_path: Path) -> None:
    train = read(write(tmp_path / "train.csv", 1, 240))
    model = fit_intent(train, HashingEmbedder())
    strange = LabelledTexts(texts=["a"] * 5, labels=["x"] * 5)
    with pytest.raises(InvalidDocument, match="lacks: x"):
        evaluate_router(model, train, strange)
    with pytest.raises(InvalidDocument, match="labelled 'oos'"):
        evaluate_router(model, train, train, out_of_scope="oos")
    with pytest.raises(InvalidDocument, match="labelled 'x'"):
        evaluate_router(model, train, strange, out_of_scope="x")
