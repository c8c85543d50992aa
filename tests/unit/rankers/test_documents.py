"""A corpus folder is read the same way whatever its order, or refused with a code."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.document_limits import ID_LENGTH, TITLE_LENGTH
from core.errors import InvalidDocument
from rankers.documents import (
    MAX_FILE_BYTES,
    Document,
    ParagraphChunker,
    WholeChunker,
    cut,
    read_corpus,
    read_folder,
)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_heading_is_the_title_and_the_stem_the_id(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "card-lost.md": b"# Lost card\n\nFreeze it.\n\n## Then\n\nCall.",
            "fees/too-high.md": b"No heading here.",
            "notes.txt": b"not an article",
        },
    )
    lost, fees = read_corpus(folder)
    assert (lost.id, lost.title) == ("card-lost", "Lost card")
    assert lost.text == "Freeze it.\n\n## Then\n\nCall."
    assert (fees.id, fees.title, fees.text) == ("too-high", "too high", "No heading here.")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({}, "RUNG-CORPUS-EMPTY"),
        ({"a.txt": b"no article"}, "RUNG-CORPUS-EMPTY"),
        ({"a.md": b"# Only a title\n\n"}, "RUNG-CORPUS-EMPTY"),
        ({"a.md": b"\xff\xfe broken"}, "RUNG-CORPUS-READ"),
        ({"a.md": b"a\0b"}, "RUNG-CORPUS-READ"),
        ({"a.md": b"x", "sub/a.md": b"y"}, "RUNG-CORPUS-DUPLICATE"),
        ({"a.md": b"x", "sub/A.md": b"y"}, "RUNG-CORPUS-DUPLICATE"),
        ({"a.md": b"x" * (MAX_FILE_BYTES + 1)}, "RUNG-CORPUS-SIZE"),
        ({f"{'a' * (ID_LENGTH + 1)}.md": b"x"}, "RUNG-CORPUS-SIZE"),
        ({"a.md": b"# " + b"a" * (TITLE_LENGTH + 1) + b"\n\nx"}, "RUNG-CORPUS-SIZE"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, files: dict[str, bytes], code: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        read_corpus(write(tmp_path, files))
    assert caught.value.code == code


def test_the_readable_files_of_a_folder_are_told_beside_the_refused(tmp_path: Path) -> None:
    good = {"good.md": b"# Good\n\nText.", "sub/other.md": b"More."}
    bad = {
        "big.md": b"x" * (MAX_FILE_BYTES + 1),
        "bytes.md": b"\xff\xfe broken",
        "empty.md": b"# Only a title\n",
        "sub/Twin.md": b"this one?",
        "twin.md": b"or that?",
    }
    found = read_folder(write(tmp_path, good | bad))
    assert [document.id for document in found.documents] == ["good", "other"]
    told = {one.path.relative_to(tmp_path).as_posix(): one for one in found.refused}
    assert list(told) == list(bad)
    assert {name: one.error.code for name, one in told.items()} == {
        "big.md": "RUNG-CORPUS-SIZE",
        "bytes.md": "RUNG-CORPUS-READ",
        "empty.md": "RUNG-CORPUS-EMPTY",
        "sub/Twin.md": "RUNG-CORPUS-DUPLICATE",
        "twin.md": "RUNG-CORPUS-DUPLICATE",
    }
    assert [one.document for one in found.refused] == ["big", "bytes", "empty", "Twin", "twin"]


def test_a_file_with_a_long_name_or_heading_is_refused_alone_and_named(tmp_path: Path) -> None:
    """What the store has no room for would stop the whole folder."""
    longest, too_long = "n" * ID_LENGTH, "n" * (ID_LENGTH + 1)
    heading = "h" * TITLE_LENGTH
    files = {
        f"{longest}.md": f"# {heading}\n\nText.".encode(),
        f"{too_long}.md": b"Text.",
        "verbose.md": f"# {heading}h\n\nText.".encode(),
    }
    found = read_folder(write(tmp_path, files))
    assert [(one.id, one.title) for one in found.documents] == [(longest, heading)]
    assert [(one.path.name, one.error.code) for one in found.refused] == [
        (f"{too_long}.md", "RUNG-CORPUS-SIZE"),
        ("verbose.md", "RUNG-CORPUS-SIZE"),
    ]
    assert "verbose.md: its heading has 1,001 characters" in found.refused[1].error.message


def test_a_name_that_is_no_text_is_refused_and_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("Written under Latin-1.")
    (refused,) = read_folder(tmp_path).refused
    assert refused.error.code == "RUNG-CORPUS-READ"
    assert refused.document == "caf\\xe9" and str(refused.error).encode()


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match="nowhere cannot be read"):
        read_corpus(tmp_path / "nowhere")


def test_a_folder_with_a_part_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    """Else the articles of that part would count as deleted."""
    write(tmp_path, {"good.md": b"# Good\n\nText."})
    names = ["x" * 250] * (1 + os.pathconf(tmp_path, "PC_PATH_MAX") // 250)
    here = os.open(tmp_path, os.O_RDONLY)
    for name in names:  # whole, the path is too long for any call; even root cannot list it
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(InvalidDocument, match="cannot be read") as caught:
        read_folder(tmp_path)
    assert caught.value.code == "RUNG-CORPUS-READ"


paragraphs = st.lists(st.text("ab ", max_size=40), max_size=12).map("\n\n".join)


@given(paragraphs, st.integers(1, 9))
def test_chunks_hold_every_word_once_in_order_and_none_is_too_long(text: str, most: int) -> None:
    document = Document(id="d", title="t", text=text)
    chunks = ParagraphChunker(max_words=most).chunks(document)
    assert [word for chunk in chunks for word in chunk.text.split()] == text.split()
    assert all(len(chunk.text.split()) <= most for chunk in chunks)
    assert [chunk.id for chunk in chunks] == sorted({chunk.id for chunk in chunks})


def test_neighbouring_paragraphs_are_packed() -> None:
    document = Document(id="d", title="t", text="one two\n\nthree\n\nfour five")
    assert [c.text for c in ParagraphChunker(max_words=3).chunks(document)] == [
        "one two\n\nthree",
        "four five",
    ]


def test_a_chunkers_name_says_how_it_cuts() -> None:
    assert ParagraphChunker(max_words=3).name != ParagraphChunker(max_words=4).name
    assert ParagraphChunker().name != WholeChunker().name


def test_cut_does_not_depend_on_the_order_of_the_documents() -> None:
    documents = [Document(id=n, title="t", text=f"text {n}") for n in "cab"]
    assert cut(documents, WholeChunker()) == cut(documents[::-1], WholeChunker())
