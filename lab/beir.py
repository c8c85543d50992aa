"""A retrieval collection in the BEIR layout, refused whole where a line of it cannot be used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import InvalidDocument
from core.json_source import parse_json
from rankers.documents import Document

Qrels = Mapping[str, Mapping[str, int]]  # relevance by query and document, 0 for judged irrelevant

HEADER = ("query-id", "corpus-id", "score")
VALID_NAMES = ("valid", "dev")  # BEIR's own collections say dev
MOST_RELEVANT = 30  # LightGBM's labels end at 31; judges use 0 to 4
SCORES = {str(score): score for score in range(MOST_RELEVANT + 1)}


@dataclass(frozen=True, kw_only=True)
class BeirCollection:
    """Documents and queries by id; qrels hold only queries with a relevant document."""

    documents: tuple[Document, ...]
    queries: Mapping[str, str]
    train: Qrels
    valid: Qrels | None
    test: Qrels


def read_beir(folder: Path) -> BeirCollection:
    """`corpus.jsonl`, `queries.jsonl`, `qrels/train.tsv`, `qrels/test.tsv`, perhaps `valid.tsv`.

    Raises InvalidDocument with the file and the line.
    """
    documents = {
        content["_id"]: Document(
            id=content["_id"], title=content.get("title") or "", text=content["text"]
        )
        for content in _rows(folder / "corpus.jsonl")
    }
    queries = {content["_id"]: content["text"] for content in _rows(folder / "queries.jsonl")}
    splits: dict[str, Qrels] = {}
    for name in ("train", "test", *VALID_NAMES):
        path = folder / "qrels" / f"{name}.tsv"
        if name not in VALID_NAMES or path.exists():
            splits[name] = _qrels(path, documents, queries)
    valid = next((splits[name] for name in VALID_NAMES if name in splits), None)
    _refuse_overlap(folder, splits)
    return BeirCollection(
        documents=tuple(documents[name] for name in sorted(documents)),
        queries={name: queries[name] for name in sorted(queries)},
        train=splits["train"],
        valid=valid,
        test=splits["test"],
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for number, line in _lines(path):
        try:
            content: Any = parse_json(line, line=number)
        except InvalidDocument as error:
            error.message = f"{path}: {error.message}"
            raise
        texts = ("_id", "text", *(["title"] if _titled(content) else []))
        if (
            not isinstance(content, dict)
            or not all(isinstance(content.get(name), str) for name in texts)
            or not content["_id"].strip()
        ):
            raise InvalidDocument(
                "RUNG-BEIR-FIELD",
                f"{path}: an object with the texts _id and text was expected",
                way_out='Write for example {"_id": "a1", "title": "…", "text": "…"}.',
                line=number,
            )
        if content["_id"] in seen:
            raise _twice(path, number, f"the id {content['_id']}")
        seen.add(content["_id"])
        yield content
    if not seen:
        raise _empty(path)


def _titled(content: Any) -> bool:
    return isinstance(content, dict) and content.get("title") is not None


def _qrels(path: Path, documents: Mapping[str, Any], queries: Mapping[str, Any]) -> Qrels:
    found: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        cells = line.split("\t")
        if number == 1:
            if tuple(cells) != HEADER:
                raise _malformed(path, number, f"the header is {', '.join(HEADER)}, tab-separated")
            continue
        if len(cells) != len(HEADER):
            raise _malformed(path, number, f"{len(HEADER)} cells, tab-separated, were expected")
        query, document, score = cells
        if score not in SCORES:
            raise _malformed(path, number, f"a score is a whole number from 0 to {MOST_RELEVANT}")
        for name, known, where in ((query, queries, "queries"), (document, documents, "corpus")):
            if name not in known:
                raise InvalidDocument(
                    "RUNG-BEIR-UNKNOWN",
                    f"{path}: {where}.jsonl has no {name}",
                    way_out="Add it there, or remove the judgement.",
                    line=number,
                )
        if document in found.setdefault(query, {}):
            raise _twice(path, number, f"the judgement of {document} for {query}")
        found[query][document] = SCORES[score]
    kept = {name: dict(sorted(found[name].items())) for name in sorted(found)}
    relevant = {name: judged for name, judged in kept.items() if any(judged.values())}
    if not relevant:
        raise _empty(path)
    return relevant


def _refuse_overlap(folder: Path, splits: Mapping[str, Qrels]) -> None:
    for name in splits:
        both = sorted(set(splits[name]) & set(splits["test"]))
        if name != "test" and both:
            raise InvalidDocument(
                "RUNG-BEIR-OVERLAP",
                f"{folder}: {len(both)} queries of test.tsv stand in {name}.tsv, first {both[0]}",
                way_out="Judge a query in one split only: a seen test query proves nothing.",
            )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InvalidDocument(
            "RUNG-BEIR-READ",
            f"{path} cannot be read ({error.__class__.__name__})",
            way_out="A BEIR folder has corpus.jsonl, queries.jsonl and qrels/{train,test}.tsv.",
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _malformed(path: Path, number: int, why: str) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-BEIR-QRELS",
        f"{path}: {why}",
        way_out="Write query id, document id and score with a tab between them.",
        line=number,
    )


def _twice(path: Path, number: int, what: str) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-BEIR-DUPLICATE",
        f"{path}: {what} stands twice",
        way_out="Keep one of the two lines.",
        line=number,
    )


def _empty(path: Path) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-BEIR-EMPTY",
        f"{path} holds nothing to work with",
        way_out="A collection needs documents, queries, and a relevant document for some of them.",
    )
