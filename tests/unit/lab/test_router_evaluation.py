"""The intent model's life on small data, with an embedder that implements the port."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from core.errors import InvalidDocument
from lab.evaluate_router import evaluate_router, expected_calibration_error
from lab.fit_intent import fit_intent
from lab.tables import LabelledTexts, read_labelled_texts
from router.intent import temper

WORDS = {
    "card_lost": ["lost", "card", "missing", "wallet", "stolen"],
    "transfer_late": ["transfer", "late", "arrived", "pending", "days"],
    "fee": ["fee", "charged", "cost", "extra", "why"],
}


class HashingEmbedder:
    """Unit vectors of hashed words; counts the texts that it was asked for."""

    def __init__(self) -> None:
        self._hashing = HashingVectorizer(n_features=64, norm="l2")
        self.asked = 0

    def encode(self, texts: Sequence[str]) -> Any:
        self.asked += len(texts)
        return self._hashing.transform(texts).toarray()


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


def test_figures_and_their_independence_of_row_order(tmp_path: Path) -> None:
    told, shuffled = report(tmp_path, 0), report(tmp_path, 7)
    for figures in (told, shuffled):
        assert set(figures.pop("latency_ms")) == {"p50", "p99", "n"}
    assert told == shuffled
    assert told["baselines"]["majority"]["ci_low"] > 0
    assert told["intervals"]["accuracy"][0] <= told["accuracy"] <= told["intervals"]["accuracy"][1]
    assert told["coverage"][-1]["accuracy"] == told["accuracy"]


def test_a_sure_request_asks_for_no_embedding(tmp_path: Path) -> None:
    embedder = HashingEmbedder()
    model = fit_intent(read(write(tmp_path / "train.csv", 1, 240)), embedder)
    before = embedder.asked
    prediction = model.predict(["lost card missing wallet", "fee late"])
    assert embedder.asked - before == prediction.embedded.sum()
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1)
    assert model.intents[prediction.probabilities[0].argmax()] == "card_lost"


def test_temperature_one_changes_nothing_and_a_higher_one_flattens() -> None:
    rows = np.array([[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(temper(rows, 1.0), rows)
    # p^(1/2) renormalised, worked by hand
    np.testing.assert_allclose(temper(rows, 2.0), np.sqrt(rows) / np.sqrt(rows).sum())


def test_ece_against_a_brute_force_reading() -> None:
    source = np.random.default_rng(3)
    top, right = source.uniform(0, 1, 500), source.random(500) < 0.6
    slow = 0.0
    for low in range(15):
        members = [i for i in range(500) if low / 15 <= top[i] < (low + 1) / 15]
        if members:
            slow += len(members) / 500 * abs(np.mean(right[members]) - np.mean(top[members]))
    assert expected_calibration_error(top, right) == pytest.approx(slow)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "RUNG-TABLE-READ"),
        ("text,label\n", "RUNG-TABLE-EMPTY"),
        ("text,label\nhello,\n", "RUNG-TABLE-EMPTY"),
        ("text,other\nhello,a\n", "RUNG-TABLE-COLUMN"),
        ('text,label\n"open,a\n', "RUNG-TABLE-READ"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: str, code: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(InvalidDocument) as caught:
        read(path)
    assert caught.value.code == code


def test_texts_without_words_are_refused() -> None:
    wordless = LabelledTexts(texts=["?"] * 12, labels=["x", "y"] * 6)
    with pytest.raises(InvalidDocument, match="no words"):
        fit_intent(wordless, HashingEmbedder())


def test_one_class_and_unseen_classes_are_refused(tmp_path: Path) -> None:
    one = LabelledTexts(texts=["a"] * 5, labels=["x"] * 5)
    with pytest.raises(InvalidDocument, match="two intents"):
        fit_intent(one, HashingEmbedder())
    train = read(write(tmp_path / "train.csv", 1, 240))
    with pytest.raises(InvalidDocument, match="lacks: x"):
        evaluate_router(fit_intent(train, HashingEmbedder()), train, one)
