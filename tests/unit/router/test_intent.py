"""The intent model as serving uses it: cheap first, the same from files, and alike in any batch."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.calibration import softmax, temper
from core.errors import InvalidDocument, InvalidSettings
from lab.fit_intent import choose_cascade, fit_intent
from lab.tables import LabelledTexts
from router.intent import Cascade, IntentModel
from tests.fakes.hashing_embedder import HashingEmbedder

WORDS = {
    "card_lost": ["lost", "card", "missing", "wallet", "stolen"],
    "transfer_late": ["transfer", "late", "arrived", "pending", "days"],
    "fee": ["fee", "charged", "cost", "extra", "why"],
    "weather": ["rain", "sun", "wind", "cloud", "snow"],
}
ASKED = [
    "lost card missing wallet",
    "fee late",
    "",
    "?",
    "nothing known",
    "snow \ud800",
    "x" * 5000,
]


def rows(intents: tuple[str, ...], n: int = 300, seed: int = 1) -> LabelledTexts:
    source = random.Random(seed)
    texts, labels = [], []
    for _ in range(n):
        label = source.choice(intents)
        pool = WORDS[label] * 3 + [word for own in intents for word in WORDS[own]]
        texts.append(" ".join(source.choices(pool, k=4)))
        labels.append(label)
    return LabelledTexts(texts=texts, labels=labels)


@pytest.fixture(scope="module")
def plain() -> IntentModel:
    return fit_intent(rows(("card_lost", "transfer_late", "fee")), HashingEmbedder())


@pytest.fixture(scope="module")
def scoped() -> IntentModel:
    return fit_intent(rows(tuple(WORDS), 500), HashingEmbedder(), out_of_scope="weather")


def test_a_sure_request_asks_for_no_embedding() -> None:
    embedder = HashingEmbedder()
    model = fit_intent(rows(("card_lost", "transfer_late", "fee")), embedder)
    before = embedder.asked
    prediction = model.predict(["lost card missing wallet", "fee late"])
    assert embedder.asked - before == prediction.embedded.sum()
    assert not prediction.embedded[0]
    assert model.intents[prediction.probabilities[0].argmax()] == "card_lost"


@pytest.mark.parametrize("model", ["plain", "scoped"])
def test_probabilities_for_any_text(model: str, request: pytest.FixtureRequest) -> None:
    prediction = request.getfixturevalue(model).predict(ASKED)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1)
    assert ((prediction.out_of_scope >= 0) & (prediction.out_of_scope <= 1)).all()
    assert not (prediction.abstains & ~prediction.embedded).any()


def test_no_texts_have_no_predictions(plain: IntentModel) -> None:
    assert plain.predict([]).probabilities.shape == (0, 3)


@given(st.lists(st.sampled_from([*ASKED, "why was I charged", "rain"]), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("model", ["plain", "scoped"])
def test_a_text_is_judged_alike_alone_and_in_a_batch(
    model: str, request: pytest.FixtureRequest, texts: list[str]
) -> None:
    judge = request.getfixturevalue(model)
    together = judge.predict(texts)
    for row, text in enumerate(texts):
        alone = judge.predict([text])
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[row], atol=1e-12)
        assert alone.out_of_scope[0] == pytest.approx(together.out_of_scope[row], abs=1e-6)
        assert alone.embedded[0] == together.embedded[row]


@pytest.mark.parametrize("model", ["plain", "scoped"])
def test_files_and_back_is_the_same_model(model: str, request: pytest.FixtureRequest) -> None:
    kept = request.getfixturevalue(model)
    files = kept.to_files()
    again = IntentModel.from_files(files, HashingEmbedder())
    assert again.to_files() == files
    asked = [*ASKED, *rows(tuple(WORDS), 50, seed=3).texts]
    one, other = kept.predict(asked), again.predict(asked)
    for name in ("probabilities", "embedded", "out_of_scope", "abstains"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_the_same_rows_in_any_order_give_the_same_bytes() -> None:
    data = rows(tuple(WORDS), 400)
    pairs = list(zip(data.texts, data.labels, strict=True))
    random.Random(5).shuffle(pairs)
    shuffled = LabelledTexts(texts=[t for t, _ in pairs], labels=[n for _, n in pairs])
    made = [
        fit_intent(own, HashingEmbedder(), out_of_scope="weather").to_files()
        for own in (data, shuffled)
    ]
    assert made[0] == made[1]


def test_vectors_of_another_embedder_are_refused(plain: IntentModel) -> None:
    with pytest.raises(InvalidSettings) as caught:
        IntentModel.from_files(plain.to_files(), HashingEmbedder(salt="other"))
    assert caught.value.code == "RUNG-EMBEDDER-MISMATCH"


def test_a_file_of_another_format_is_refused(plain: IntentModel) -> None:
    files = plain.to_files()
    files["intent.json"] = files["intent.json"].replace(b'"format":1', b'"format":2')
    with pytest.raises(ValueError, match="format 2"):
        IntentModel.from_files(files, HashingEmbedder())


def test_outsiders_are_no_intent_and_are_found(scoped: IntentModel) -> None:
    assert scoped.intents == ("card_lost", "fee", "transfer_late")
    asked = ["rain sun wind", "cloud snow rain", "my card was stolen, it is missing"]
    prediction = scoped.predict(asked)
    assert list(prediction.abstains) == [True, True, False]
    assert prediction.out_of_scope[:2].min() > 0.5 > prediction.out_of_scope[2]


def test_what_is_unlike_all_training_texts_is_stranger(plain: IntentModel) -> None:
    usual, strange = plain.predict(["lost card", "zebra quantum violin"]).out_of_scope
    assert strange > usual


def test_false_alarms_keep_to_their_share() -> None:
    """On the training texts, which the final model knows better than its folds did."""
    data = rows(tuple(WORDS), 500)
    for most in (0.02, 0.2):
        model = fit_intent(data, HashingEmbedder(), out_of_scope="weather", false_alarms=most)
        inside = [t for t, n in zip(data.texts, data.labels, strict=True) if n != "weather"]
        assert model.predict(inside).abstains.mean() <= most + 0.02


def test_the_cascade_stops_where_the_embedding_adds_nothing() -> None:
    source = np.random.default_rng(0)
    labels = source.integers(0, 3, 600)
    logits = source.normal(size=(600, 3)) + 6 * np.eye(3)[labels]
    noise = softmax(source.normal(size=(600, 3)))
    cascade = choose_cascade(softmax(logits), noise, labels)
    assert (cascade.gate(softmax(logits)).max(axis=1) < cascade.stop_at).mean() < 0.05


def test_the_mix_is_between_both_and_tempered() -> None:
    cascade = Cascade(
        gate_temperature=1.0,
        stop_at=0.9,
        mix_weight=0.25,
        cheap_temperature=2.0,
        mix_temperature=0.5,
    )
    cheap, embedded = np.array([[0.8, 0.2]]), np.array([[0.4, 0.6]])
    mixed = np.array([[0.7, 0.3]])
    np.testing.assert_allclose(cascade.mix(cheap, embedded), mixed)
    np.testing.assert_allclose(cascade.mixed(cheap, embedded), temper(mixed, 0.5))


@pytest.mark.parametrize(
    "data",
    [
        LabelledTexts(texts=["a b"] * 5, labels=["x"] * 5),
        LabelledTexts(texts=[], labels=[]),
        # five rows, but one text only: no fold could hold it out
        LabelledTexts(texts=["same text"] * 5 + list("abcde"), labels=["x"] * 5 + ["y"] * 5),
        LabelledTexts(texts=["one", "two", "three"] * 2, labels=["x"] * 3 + ["oos"] * 3),
    ],
)
def test_too_few_intents_or_texts_are_refused(data: LabelledTexts) -> None:
    with pytest.raises(InvalidDocument) as caught:
        fit_intent(data, HashingEmbedder(), out_of_scope="oos")
    assert caught.value.code == "RUNG-TABLE-CLASSES"


def test_texts_without_words_are_refused() -> None:
    wordless = LabelledTexts(texts=["?", "!", "..", "?!"] * 3, labels=["x"] * 4 + ["y"] * 8)
    with pytest.raises(InvalidDocument, match="no words"):
        fit_intent(wordless, HashingEmbedder())
