"""Small collections whose answers are known: one where titles tell, one where nothing does."""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from rankers.documents import Document

SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi", "no", "pu", "ra", "ve", "zo")


@dataclass(frozen=True, kw_only=True)
class RankingWorld:
    documents: tuple[Document, ...]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def ranking_world(topics: int = 36, *, told_by_title: bool = True, seed: int = 0) -> RankingWorld:
    """Two documents a topic and two queries; a decoy says the topic's words more often.

    With `told_by_title` the answer is the one that has them in its title too, which the untrained
    hybrid does not look at. Without, the answer is drawn by lot between the two.
    """
    source = random.Random(seed)
    filler = [_word(source) for _ in range(200)]
    documents, queries, relevant = [], {}, {}
    for topic in range(topics):
        subject = [f"{_word(source)}{topic:03d}x" for _ in range(3)]
        right, decoy = f"d{topic:03d}a", f"d{topic:03d}b"
        title = " ".join(subject) if told_by_title else " ".join(source.sample(filler, 3))
        answer = [*subject[:2], *source.sample(filler, 30)]
        shouting = [*subject * 3, *source.sample(filler, 10)]
        documents += [
            Document(id=right, title=title, text=" ".join(answer)),
            Document(id=decoy, title=" ".join(source.sample(filler, 3)), text=" ".join(shouting)),
        ]
        for n in range(2):
            query = f"q{topic:03d}{n}"
            queries[query] = " ".join([*subject, *source.sample(filler, 2)])
            relevant[query] = {right if told_by_title else source.choice([right, decoy])}
    return RankingWorld(documents=tuple(documents), queries=queries, relevant=relevant)


def write_beir(folder: Path, world: RankingWorld, *, shuffle: int = 0, valid: bool = False) -> Path:
    """Two thirds of the topics train, the rest tests; with `valid` half of the rest chooses."""
    source = random.Random(shuffle)
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": d.id, "title": d.title, "text": d.text} for d in world.documents]
    queries = [{"_id": name, "text": text} for name, text in world.queries.items()]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        source.shuffle(rows)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    names = sorted(world.queries)
    cut, middle = len(names) * 2 // 3, len(names) * 5 // 6
    splits = {"train": names[:cut], "test": names[middle if valid else cut :]}
    if valid:
        splits["valid"] = names[cut:middle]
    for split, members in splits.items():
        lines = [
            f"{query}\t{document}\t1\n" for query in members for document in world.relevant[query]
        ]
        source.shuffle(lines)
        (folder / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "".join(lines)
        )
    return folder


def _word(source: random.Random) -> str:
    return "".join(source.choices(SYLLABLES, k=3))
