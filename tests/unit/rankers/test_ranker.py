"""Features, every ranker of the house, and the retriever that puts them together."""

import json

import lightgbm as lgb
import numpy as np
import pytest

from core.calibration import Platt, Uncalibrated
from core.errors import CorruptArtifact, InvalidDocument
from rankers.documents import Chunk, Document, ParagraphChunker, cut
from rankers.features import FEATURES, feature_matrix, ranks
from rankers.index import DEPTH, HybridIndex
from rankers.quality import QUALITY_FEATURES, QualityHead, QualityScorer, quality_features
from rankers.ranker import HybridRanker, LambdaRanker, Ranked, Ranker, load_ranker, rank
from rankers.retriever import Retriever
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.ranking_world import ranking_world
from tests.unit.rankers.check_ranker import check_ranker

EMBEDDER = HashingEmbedder()
WORLD = ranking_world(12)
INDEX = HybridIndex.build(cut(WORLD.documents, ParagraphChunker()), EMBEDDER)
QUERY = WORLD.queries["q0030"]
FOUND = INDEX.search(QUERY, EMBEDDER)
MATRIX = feature_matrix(INDEX, FOUND)


def boosters() -> list[lgb.Booster]:
    source = np.random.default_rng(0)
    rows = source.random((200, len(FEATURES)))
    labels = (rows[:, FEATURES.index("title_overlap")] > 0.6).astype(int)
    return [
        lgb.train(
            {"objective": "lambdarank", "verbose": -1, "seed": seed, "num_threads": 1},
            lgb.Dataset(rows, labels, group=[20] * 10),
            5,
        )
        for seed in range(2)
    ]


LEARNED = LambdaRanker.of(boosters())
UNCALIBRATED = Uncalibrated()


@pytest.mark.parametrize("ranker", [HybridRanker(), HybridRanker(weight=0.0), LEARNED])
def test_every_ranker_keeps_the_promises(ranker: Ranker) -> None:
    check_ranker(ranker, MATRIX)


def column(name: str) -> np.ndarray:
    return MATRIX[:, FEATURES.index(name)]


def test_features_are_what_their_names_say() -> None:
    assert MATRIX.shape == (len(FOUND), len(FEATURES)) and np.isfinite(MATRIX).all()
    np.testing.assert_array_equal(column("bm25"), FOUND.bm25)
    np.testing.assert_array_equal(column("dense"), FOUND.dense)
    assert sorted(column("bm25_rank")) == list(range(1, len(FOUND) + 1))
    best = int(column("dense").argmax())
    assert column("dense_rank")[best] == column("dense_reciprocal_rank")[best] == 1
    right = [INDEX.chunks[row].document for row in FOUND.rows].index("d003a")
    assert column("title_overlap")[right] == pytest.approx(3 / 5)  # three of its five words
    assert set(column("query_length")) == {5.0}
    np.testing.assert_allclose(
        column("fused"), (column("bm25_scaled") + column("dense_scaled")) / 2
    )


def test_ranks_give_ties_to_the_earlier_row() -> None:
    np.testing.assert_array_equal(ranks(np.array([1.0, 3.0, 1.0, 2.0])), [3, 1, 4, 2])


@pytest.mark.parametrize("text", ["", "???", "unheard of", "\ud800"])
def test_features_of_a_text_that_matches_nothing_are_finite(text: str) -> None:
    assert np.isfinite(feature_matrix(INDEX, INDEX.search(text, EMBEDDER))).all()


def test_one_passage_for_each_document_by_its_best_chunk() -> None:
    chunks = [
        Chunk(id=f"{name}#{n}", document=name, title=name, text="x") for name in "ab" for n in "01"
    ]
    index = HybridIndex.build(chunks, EMBEDDER)
    scores = np.array([0.1, 0.9, 0.5, 0.5])
    ranked = rank(index, np.arange(4), scores, np.zeros((4, len(FEATURES))))
    assert [index.chunks[row].id for row in ranked.rows] == ["a#1", "b#0"]
    assert ranked.scores.tolist() == [0.9, 0.5]


@pytest.mark.parametrize(
    "changed",
    [
        {"ranker.json": b"{}"},
        {"ranker.json": json.dumps({"kind": "learned", "features": "old", "boosters": 1}).encode()},
        {"booster-0.txt": b"no model"},
    ],
)
def test_a_broken_ranker_is_refused(changed: dict[str, bytes]) -> None:
    with pytest.raises(CorruptArtifact) as caught:
        load_ranker({**LEARNED.to_files(), **changed})
    assert caught.value.code == "RUNG-RANKER-CONTENT"


def head(weight: float, calibrator: Platt | Uncalibrated = UNCALIBRATED) -> QualityHead:
    ones = (1.0,) * len(QUALITY_FEATURES)
    return QualityHead(
        mean=(0.0,) * len(QUALITY_FEATURES),
        scale=ones,
        weights=(weight,) * len(QUALITY_FEATURES),
        intercept=-0.5,
        calibrator=calibrator,
    )


QUALITY = QualityScorer(first=head(0.1), cited=head(0.05, Platt(slope=2.0, intercept=0.1)))


def test_a_head_is_a_logistic_regression() -> None:
    row = np.arange(float(len(QUALITY_FEATURES)))
    expected = 1 / (1 + np.exp(-(0.1 * row.sum() - 0.5)))
    assert head(0.1).probability(row[None])[0] == pytest.approx(expected)
    assert QualityHead.constant(0.3).probability(row[None])[0] == pytest.approx(0.3)


def test_quality_features_of_a_list_by_hand() -> None:
    matrix = np.zeros((5, len(FEATURES)))
    matrix[:, FEATURES.index("dense")] = [0.5, 0.6, 0.4, 0.9, 0.1]
    matrix[:, FEATURES.index("coverage")] = [0.2, 0.1, 0.3, 0.9, 0.0]
    matrix[0, FEATURES.index("bm25_reciprocal_rank")] = 1
    matrix[0, FEATURES.index("dense_reciprocal_rank")] = 0.5
    matrix[:, FEATURES.index("query_length")] = 4
    ranked = Ranked(rows=np.arange(5), scores=np.array([9.0, 7, 4, 3, 1]), matrix=matrix)
    told = dict(zip(QUALITY_FEATURES, quality_features(ranked), strict=True))
    assert told == pytest.approx(
        {
            "score": 9,
            "score_margin": 2,
            "score_lead": 1,
            "cosine": 0.5,
            "cosine_best": 0.6,
            "coverage": 0.2,
            "coverage_best": 0.3,
            "agreement": 0.75,
            "log_query_length": np.log(5),
        }
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_quality_of_short_lists(n: int) -> None:
    ranked = Ranked(rows=np.arange(n), scores=np.arange(n, 0.0, -1), matrix=MATRIX[:n])
    first, cited = QUALITY.probabilities(ranked)
    assert 0 <= first <= cited <= 1


@pytest.mark.parametrize(
    ("key", "value"),
    [("weights", [1.0]), ("intercept", "NaN"), ("scale", None), ("calibrator", {"kind": "magic"})],
)
def test_a_broken_scorer_is_refused(key: str, value: object) -> None:
    content = json.loads(QUALITY.to_files()["quality.json"])
    content["first"][key] = value
    with pytest.raises(CorruptArtifact) as caught:
        QualityScorer.from_files({"quality.json": json.dumps(content).encode()})
    assert caught.value.code == "RUNG-QUALITY-CONTENT"


@pytest.mark.parametrize("ranker", [HybridRanker(), LEARNED])
def test_a_retriever_answers_with_passages_that_explain_themselves(ranker: Ranker) -> None:
    retriever = Retriever(index=INDEX, embedder=EMBEDDER, ranker=ranker, quality=QUALITY)
    result = retriever.retrieve(QUERY, k=4)
    assert len({passage.document for passage in result.passages}) == 4
    scores = [passage.score for passage in result.passages]
    assert scores == sorted(scores, reverse=True)
    for passage in result.passages:
        assert sum(passage.attribution.values()) == pytest.approx(passage.score)
    assert 0 <= result.quality <= result.quality_any <= 1

    again = Retriever.from_files(retriever.to_files(), index=INDEX, embedder=EMBEDDER)
    assert again.retrieve(QUERY, k=4) == result
    assert again.to_files() == retriever.to_files()


@pytest.mark.parametrize("text", ["", "unheard of", "\ud800", "a" * 10_000])
def test_a_retriever_has_something_to_say_on_any_text(text: str) -> None:
    document = Document(id="only", title="Only", text="The only article.")
    index = HybridIndex.build(cut([document], ParagraphChunker()), EMBEDDER)
    retriever = Retriever(index=index, embedder=EMBEDDER, ranker=LEARNED, quality=QUALITY)
    result = retriever.retrieve(text)
    assert [passage.document for passage in result.passages] == ["only"]
    assert 0 <= result.quality <= 1


def test_a_retriever_refuses_the_index_of_another_embedder() -> None:
    with pytest.raises(InvalidDocument, match="holds vectors of"):
        Retriever(
            index=INDEX,
            embedder=HashingEmbedder(salt="x"),
            ranker=HybridRanker(),
            quality=QUALITY,
        )


def test_what_is_hidden_leaves_no_trace_in_how_the_rest_is_ranked() -> None:
    """Hundreds looked at in its stead would cost time and move every scaled feature."""
    source = np.random.default_rng(0)  # long texts: hardly two are equally near
    texts = [" ".join(f"w{n}" for n in source.integers(0, 900, 80)) for _ in range(1300)]
    documents = [Document(id=f"d{n:04d}", title="", text=text) for n, text in enumerate(texts)]
    seen, gone = documents[:400], documents[400:]
    shorter, longer = (
        Retriever(
            index=HybridIndex.build(cut(documents, ParagraphChunker()), EMBEDDER),
            embedder=EMBEDDER,
            ranker=HybridRanker(),
            quality=QUALITY,
            hidden=frozenset(document.id for document in gone),
        )
        for documents in (seen, documents)
    )
    asked = "words that nobody wrote"  # by meaning alone: idf is of the whole index
    assert longer.retrieve(asked, k=200) == shorter.retrieve(asked, k=200)
    assert len(longer.retrieve(asked, k=400).passages) == DEPTH
