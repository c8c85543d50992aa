"""The BEIR reader: what it keeps, what it refuses and on which line, and the real SciFact."""

from pathlib import Path

import pytest

from core.errors import InvalidDocument
from lab.beir import read_beir

SCIFACT = Path(__file__).parents[3] / "../shared/data/scifact"

GOOD = {
    "corpus.jsonl": '{"_id": "d2", "title": "T", "text": "two"}\n{"_id": "d1", "text": "one"}\n',
    "queries.jsonl": '{"_id": "q1", "text": "first?"}\n{"_id": "q2", "text": "second?"}\n',
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n",
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\r\nq2\td2\t1\r\n",
}


def write(folder: Path, files: dict[str, str | bytes | None]) -> Path:
    for name, content in {**GOOD, **files}.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_what_is_kept(tmp_path: Path) -> None:
    read = read_beir(write(tmp_path, {}))
    assert [(d.id, d.title, d.text) for d in read.documents] == [
        ("d1", "", "one"),
        ("d2", "T", "two"),
    ]
    assert read.queries == {"q1": "first?", "q2": "second?"}
    assert read.train == {"q1": {"d1": 2, "d2": 0}}
    assert read.test == {"q2": {"d2": 1}}
    assert read.valid is None


@pytest.mark.parametrize("name", ["valid", "dev"])
def test_a_third_split_by_either_name(tmp_path: Path, name: str) -> None:
    queries = GOOD["queries.jsonl"] + '{"_id": "q3", "text": "third?"}\n'
    split = "query-id\tcorpus-id\tscore\nq3\td1\t1\n"
    files: dict[str, str | bytes | None] = {"queries.jsonl": queries, f"qrels/{name}.tsv": split}
    assert read_beir(write(tmp_path, files)).valid == {"q3": {"d1": 1}}


def test_a_query_without_a_relevant_document_is_left_out(tmp_path: Path) -> None:
    split = GOOD["qrels/test.tsv"] + "q1x\td1\t0\n"
    queries = GOOD["queries.jsonl"] + '{"_id": "q1x", "text": "no answer?"}\n'
    read = read_beir(write(tmp_path, {"qrels/test.tsv": split, "queries.jsonl": queries}))
    assert set(read.test) == {"q2"}


HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("name", "content", "code", "line"),
    [
        ("corpus.jsonl", None, "RUNG-BEIR-READ", None),
        ("qrels/test.tsv", None, "RUNG-BEIR-READ", None),
        ("queries.jsonl", b"\xff\xfe", "RUNG-BEIR-READ", None),
        ("corpus.jsonl", "", "RUNG-BEIR-EMPTY", None),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{"_id"', "RUNG-JSON-SYNTAX", 2),
        ("corpus.jsonl", '{"_id": "d1", "text": NaN}', "RUNG-JSON-SYNTAX", 1),
        ("corpus.jsonl", "[" * 100_000, "RUNG-JSON-SYNTAX", 1),
        ("corpus.jsonl", '{"_id": "d1", "text": "\\ud800"}', "RUNG-JSON-SYNTAX", 1),
        ("corpus.jsonl", '{"_id": 7, "text": "x"}', "RUNG-BEIR-FIELD", 1),
        ("corpus.jsonl", '{"_id": " ", "text": "x"}', "RUNG-BEIR-FIELD", 1),
        ("corpus.jsonl", '{"_id": "d1"}', "RUNG-BEIR-FIELD", 1),
        ("corpus.jsonl", '{"_id": "d1", "text": "x", "title": 3}', "RUNG-BEIR-FIELD", 1),
        ("corpus.jsonl", '["d1"]', "RUNG-BEIR-FIELD", 1),
        ("queries.jsonl", '{"_id":"q1","text":"x"}\n' * 2, "RUNG-BEIR-DUPLICATE", 2),
        ("qrels/train.tsv", "", "RUNG-BEIR-EMPTY", None),
        ("qrels/train.tsv", HEADER + "q1\td1\t0\n", "RUNG-BEIR-EMPTY", None),
        ("qrels/train.tsv", "q1\td1\t1\n", "RUNG-BEIR-QRELS", 1),
        ("qrels/train.tsv", HEADER + "q1 d1 1\n", "RUNG-BEIR-QRELS", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t-1\n", "RUNG-BEIR-QRELS", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t0.5\n", "RUNG-BEIR-QRELS", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t31\n", "RUNG-BEIR-QRELS", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t" + "9" * 5000 + "\n", "RUNG-BEIR-QRELS", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t1\nq9\td1\t1\n", "RUNG-BEIR-UNKNOWN", 3),
        ("qrels/train.tsv", HEADER + "q1\td9\t1\n", "RUNG-BEIR-UNKNOWN", 2),
        ("qrels/train.tsv", HEADER + "q1\td1\t1\nq1\td1\t0\n", "RUNG-BEIR-DUPLICATE", 3),
        ("qrels/train.tsv", HEADER + "q2\td1\t1\n", "RUNG-BEIR-OVERLAP", None),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, name: str, content: str | bytes | None, code: str, line: int | None
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_beir(write(tmp_path, {name: content}))
    assert (caught.value.code, caught.value.line) == (code, line)
    if code != "RUNG-BEIR-OVERLAP":
        assert name in caught.value.message


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match="cannot be read"):
        read_beir(tmp_path / "nowhere")


@pytest.mark.skipif(not SCIFACT.exists(), reason="the shared data folder is absent")
def test_scifact_is_read_whole() -> None:
    read = read_beir(SCIFACT)
    assert len(read.documents) == 5183
    assert (len(read.train), len(read.test)) == (809, 300)
    assert read.valid is None
