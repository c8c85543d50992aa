"""The ranker's life: learned where there is something to learn, and refused a place where not."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidDocument
from lab.evaluate_ranker import evaluate_ranker
from lab.fit_quality import fit_quality, lists_of
from lab.fit_ranker import FOLDS, LEAST_QUERIES, FittedRanker, fit_ranker, paired_uplift
from lab.ranked_queries import folds_of_groups, groups_by_answer
from lab.ranking_metrics import MEASURES
from rankers.documents import Document, WholeChunker, cut
from rankers.features import FEATURES
from rankers.index import HybridIndex
from rankers.ranker import HybridRanker, LambdaRanker
from rankers.retriever import Retriever
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.ranking_world import RankingWorld, ranking_world, write_beir
from tests.unit.rankers.check_ranker import check_ranker

EMBEDDER = HashingEmbedder(256)


def fit(world: RankingWorld, *, shuffle: int = 0) -> tuple[HybridIndex, FittedRanker]:
    source = random.Random(shuffle)
    documents, queries = list(world.documents), list(world.queries.items())
    source.shuffle(documents)
    source.shuffle(queries)
    index = HybridIndex.build(cut(documents, WholeChunker()), EMBEDDER)
    return index, fit_ranker(index, EMBEDDER, queries, world.relevant)


@pytest.fixture(scope="module")
def told() -> tuple[HybridIndex, FittedRanker]:
    return fit(ranking_world())


@pytest.fixture(scope="module")
def by_lot() -> FittedRanker:
    return fit(ranking_world(told_by_title=False))[1]


def test_what_titles_tell_is_learned_and_promoted(told: tuple[HybridIndex, FittedRanker]) -> None:
    _, fitted = told
    assert isinstance(fitted.ranker, LambdaRanker) and fitted.ranker is fitted.learned
    assert fitted.report["promoted"] == "learned"
    assert fitted.report["uplift"]["ci_low"] > 0.1
    assert fitted.report["held_out"]["learned"] > 0.9 > fitted.report["held_out"]["hybrid"]
    parts = fitted.ranker.attribute(fitted.queries[0].matrix)
    moved = {name: np.ptp([part[name] for part in parts]) for name in FEATURES}
    assert sum(moved[n] for n in ("title_bm25", "title_overlap")) > max(
        moved[n] for n in FEATURES if not n.startswith("title")
    )


def test_where_a_lot_decides_the_hybrid_stays(by_lot: FittedRanker) -> None:
    assert isinstance(by_lot.ranker, HybridRanker) and by_lot.learned is not None
    assert by_lot.report["promoted"] == "hybrid"
    assert by_lot.report["uplift"]["ci_low"] <= 0


def test_every_fitted_ranker_keeps_the_promises(told: tuple[HybridIndex, FittedRanker]) -> None:
    _, fitted = told
    assert fitted.learned is not None
    for ranker in (fitted.hybrid, fitted.learned):
        check_ranker(ranker, fitted.queries[0].matrix)


def test_the_order_of_rows_has_no_say_to_the_last_byte(
    told: tuple[HybridIndex, FittedRanker],
) -> None:
    index, fitted = told
    other_index, other = fit(ranking_world(), shuffle=7)
    assert other.report == fitted.report
    assert other.ranker.to_files() == fitted.ranker.to_files()
    quality = [fit_quality(lists_of(i, f)) for i, f in ((index, fitted), (other_index, other))]
    assert quality[0].scorer.to_files() == quality[1].scorer.to_files()
    assert quality[0].report == quality[1].report


def test_held_out_scores_are_by_models_that_did_not_see_the_answer() -> None:
    """Whoever learns the lot by heart is right; whoever did not see it is right half the time."""
    index, fitted = fit(ranking_world(60, told_by_title=False, seed=3))
    assert fitted.learned is not None
    first_right = [one.first_right for one in lists_of(index, fitted)]
    assert 0.3 < np.mean(first_right) < 0.7


def test_too_few_queries_leave_the_hybrid() -> None:
    index, fitted = fit(ranking_world(LEAST_QUERIES // 2 - 1))
    assert fitted.learned is None and isinstance(fitted.ranker, HybridRanker)
    assert "too few" in fitted.report["why"]
    assert len(lists_of(index, fitted)) == LEAST_QUERIES - 2


def test_queries_that_all_share_one_answer_cannot_be_judged() -> None:
    world = ranking_world(40)
    same = RankingWorld(
        documents=world.documents,
        queries=world.queries,
        relevant={name: {"d000a"} for name in world.queries},
    )
    assert fit(same)[1].learned is None


def test_a_query_that_nothing_answers_trains_no_ranker_but_the_quality() -> None:
    world = ranking_world()
    asked = {**world.queries, "zz": "quite another matter"}
    index = HybridIndex.build(cut(world.documents, WholeChunker()), EMBEDDER)
    fitted = fit_ranker(index, EMBEDDER, asked.items(), world.relevant)
    assert fitted.report["n_without_answer"] == 1
    assert fitted.report["n_queries"] == len(world.queries)
    assert not lists_of(index, fitted)[-1].cited_right


def test_groups_keep_shared_answers_and_shared_texts_together() -> None:
    world = ranking_world(10)
    asked = {**world.queries, "copy": world.queries["q0000"].upper()}
    relevant = {**world.relevant, "copy": {"d005a"}}
    index = HybridIndex.build(cut(world.documents, WholeChunker()), EMBEDDER)
    queries = fit_ranker(index, EMBEDDER, asked.items(), relevant).queries
    group = dict(zip([q.id for q in queries], groups_by_answer(queries), strict=True))
    # By its text with topic 0, by its answer with topic 5: all of them are one group.
    assert len({group[name] for name in ("copy", "q0000", "q0001", "q0050", "q0051")}) == 1
    assert len(set(group.values())) == 9


def test_folds_tear_no_group_apart_and_are_of_like_size() -> None:
    source = random.Random(0)
    groups = [f"g{source.randrange(40)}" for _ in range(200)]
    fold_of = folds_of_groups(groups, FOLDS, seed=0)
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold_of, groups, strict=True) if g == group}) == 1
    assert np.ptp(np.bincount(fold_of)) <= 4
    order = list(range(200))
    source.shuffle(order)
    shuffled = folds_of_groups([groups[row] for row in order], FOLDS, seed=0)
    assert shuffled.tolist() == fold_of[order].tolist()


def test_uplift_is_the_mean_difference_within_its_interval() -> None:
    ours, theirs = np.array([1.0, 0.5, np.nan, 0.75]), np.array([0.5, 0.5, np.nan, 1.0])
    uplift = paired_uplift(ours, theirs, seed=0)
    assert uplift["diff"] == pytest.approx(0.25 / 3) and uplift["n"] == 3
    assert uplift["ci_low"] <= uplift["diff"] <= uplift["ci_high"]
    assert paired_uplift(ours, ours, seed=0)["ci_high"] == 0


def report(folder: Path, shuffle: int = 0, **kind: Any) -> dict[str, Any]:
    return evaluate_ranker(write_beir(folder, ranking_world(), shuffle=shuffle, **kind), EMBEDDER)


def test_the_report_of_a_collection(tmp_path: Path) -> None:
    told = report(tmp_path / "one")
    assert set(told["systems"]) == {"bm25", "dense", "hybrid", "learned"}
    for figures in told["systems"].values():
        assert set(figures) == {*MEASURES, "n", "intervals"} and figures["n"] == 24
        for name in MEASURES:
            low, high = figures["intervals"][name]
            assert 0 <= low <= figures[name] <= high <= 1
    learned, hybrid = told["systems"]["learned"], told["systems"]["hybrid"]
    assert told["uplift"]["diff"] == pytest.approx(learned["ndcg@10"] - hybrid["ndcg@10"])
    assert told["promoted"] == "learned" and told["uplift"]["ci_low"] > 0
    assert told["gain"] == "linear" and told["n_queries"] == 24
    assert told["uplift_by_documents"]["seen_in_training"] is None
    assert told["uplift_by_documents"]["unseen"] == told["uplift"]
    other = report(tmp_path / "two", shuffle=5)
    assert told["evaluation"].pop("decision") == "one"
    assert other["evaluation"].pop("decision") == "two"
    assert told == other


def test_a_valid_split_chooses(tmp_path: Path) -> None:
    told = report(tmp_path / "one", valid=True)
    assert told["chosen"]["on"] == "valid" and told["n_queries"] == 12
    assert told["held_out"]["folds"]["groups"] == 6


def test_what_the_test_split_says_chooses_nothing(tmp_path: Path) -> None:
    world = ranking_world()
    turned = {q: {next(iter(d)).replace("a", "b")} for q, d in world.relevant.items()}
    other = RankingWorld(documents=world.documents, queries=world.queries, relevant=turned)
    write_beir(tmp_path / "one", world)
    write_beir(tmp_path / "two", other)
    split = "qrels/train.tsv"
    (tmp_path / "two" / split).write_bytes((tmp_path / "one" / split).read_bytes())
    one, two = (evaluate_ranker(tmp_path / name, EMBEDDER) for name in ("one", "two"))
    assert one["chosen"] == two["chosen"] and one["held_out"] == two["held_out"]
    assert two["promoted"] == "hybrid" and two["uplift"]["ci_high"] < 0


def test_a_collection_too_small_to_learn_from_is_refused(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "small", ranking_world(9))
    with pytest.raises(InvalidDocument) as caught:
        evaluate_ranker(folder, EMBEDDER)
    assert caught.value.code == "RUNG-RANKER-QUERIES"


def test_what_was_fitted_serves(told: tuple[HybridIndex, FittedRanker]) -> None:
    index, fitted = told
    quality = fit_quality(lists_of(index, fitted)).scorer
    retriever = Retriever(index=index, embedder=EMBEDDER, ranker=fitted.ranker, quality=quality)
    result = retriever.retrieve(ranking_world().queries["q0070"])
    assert result.passages[0].document == "d007a" and result.quality > 0.5


def test_one_document_and_one_query() -> None:
    document = Document(id="d", title="t", text="x")
    world = RankingWorld(documents=(document,), queries={"q": "x"}, relevant={"q": {"d"}})
    index, fitted = fit(world)
    quality = fit_quality(lists_of(index, fitted))
    assert quality.report["first"]["model"] == "constant"
    assert quality.scorer.first.intercept == pytest.approx(np.log(2))  # (1 + 1) / (1 + 2)
