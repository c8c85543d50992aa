"""Labelled texts: what is read, and that a file with one bad row is refused whole."""

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidDocument
from lab.tables import LabelledTexts, read_labelled_texts


def read(path: Path, content: bytes | str, slices: tuple[str, ...] = ()) -> LabelledTexts:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_labelled_texts(path, text="text", label="label", slices=slices)


CELL = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
).filter(str.strip)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read_in_an_order_of_its_own(
    rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tables") / "rows.csv"
    for shuffle in (0, 1):
        shuffled = random.Random(shuffle).sample(rows, len(rows))
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["plan", "text", "label"])
            writer.writerows([(plan, text, label) for text, label, plan in shuffled])
        data = read_labelled_texts(path, text="text", label="label", slices=("plan",))
        assert list(zip(data.texts, data.labels, data.slices["plan"], strict=True)) == sorted(rows)


def test_a_byte_order_mark_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    data = read(tmp_path / "t.csv", b"\xef\xbb\xbftext,label\r\n\r\nhello,a\r\n\r\n")
    assert (data.texts, data.labels, dict(data.slices)) == (["hello"], ["a"], {})


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("", "RUNG-TABLE-READ", None),
        ("\n\n", "RUNG-TABLE-READ", None),
        ("text,label\n", "RUNG-TABLE-EMPTY", None),
        ("text,label\nhello,\n", "RUNG-TABLE-EMPTY", 2),
        ("text,label\nhello,a\n  ,a\n", "RUNG-TABLE-EMPTY", 3),
        ("text,other\nhello,a\n", "RUNG-TABLE-COLUMN", None),
        ('text,label\n"open,a\n', "RUNG-TABLE-READ", 1),
        ('text,label\n"a"b,c\n', "RUNG-TABLE-READ", 1),
        ("text,label\nhel\0lo,a\n", "RUNG-TABLE-READ", 2),
        (b"text,label\n\xed\xa0\x80,a\n", "RUNG-TABLE-READ", 1),  # a lone surrogate
        (b"text,label\n\xff\xfe,a\n", "RUNG-TABLE-READ", 1),
        ("text,label,text\nhello,a,b\n", "RUNG-TABLE-HEADER", 1),
        ("text,label\nhello\n", "RUNG-TABLE-RAGGED", 2),
        ("text,label\nhello,a\nwell, hello,a\n", "RUNG-TABLE-RAGGED", 3),
        ("text,label\n" + "x" * 20_001 + ",a\n", "RUNG-TABLE-CELL", 2),
        ("text,label\n" + "x" * 10_000_000 + ",a\n", "RUNG-TABLE-READ", 1),
        (
            "text,label\n" + "".join(f"hello,{i}\n" for i in range(2001)),
            "RUNG-TABLE-VALUES",
            None,
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, content: bytes | str, code: str, line: int | None
) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read(tmp_path / "bad.csv", content)
    assert (caught.value.code, caught.value.line) == (code, line)
    assert len(str(caught.value)) < 600
    str(caught.value).encode()


def test_a_slice_column_must_exist_and_hold_classes(tmp_path: Path) -> None:
    rows = "".join(f"hello,a,{i}\n" for i in range(201))
    with pytest.raises(InvalidDocument) as caught:
        read(tmp_path / "t.csv", "text,label,id\n" + rows, ("id",))
    assert caught.value.code == "RUNG-TABLE-VALUES"
    with pytest.raises(InvalidDocument) as caught:
        read(tmp_path / "t.csv", "text,label\nhello,a\n", ("plan",))
    assert caught.value.code == "RUNG-TABLE-COLUMN"


def test_a_folder_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InvalidDocument) as caught:
            read_labelled_texts(path, text="text", label="label")
        assert caught.value.code == "RUNG-TABLE-READ"
