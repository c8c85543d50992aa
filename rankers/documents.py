"""A corpus folder becomes documents, and a document becomes chunks, or is refused with a reason."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.document_limits import ID_LENGTH, TITLE_LENGTH
from core.errors import InvalidDocument

MAX_FILE_BYTES = 1_000_000  # a help article has some 5,000; a megabyte is an export, not an article
PARAGRAPH_WORDS = 180  # MiniLM reads 256 word pieces, some 1.4 of them for an English word


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    id: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A part of a document that is retrieved as one. `id` sorts by document, then by place."""

    id: str
    document: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """What is embedded and searched."""
        return f"{self.title} {self.text}".strip()

    @property
    def digest(self) -> str:
        content = "\0".join((self.id, self.document, self.title, self.text))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


class Chunker(Protocol):
    @property
    def name(self) -> str:
        """Names the way of cutting with its version; part of an index's recipe."""
        ...

    def chunks(self, document: Document) -> tuple[Chunk, ...]: ...


@dataclass(frozen=True)
class WholeChunker:
    """Every document is one chunk."""

    name: str = "whole.v1"

    def chunks(self, document: Document) -> tuple[Chunk, ...]:
        return (_chunk(document, 0, document.text),)


@dataclass(frozen=True)
class ParagraphChunker:
    """Neighbouring paragraphs together, up to `max_words`; a longer paragraph is cut at words."""

    max_words: int = PARAGRAPH_WORDS

    @property
    def name(self) -> str:
        return f"paragraphs-{self.max_words}.v1"

    def chunks(self, document: Document) -> tuple[Chunk, ...]:
        texts: list[str] = []
        size = 0
        for piece in self._pieces(document.text):
            length = len(piece.split())
            if texts and size + length <= self.max_words:
                texts[-1] = f"{texts[-1]}\n\n{piece}"
                size += length
            else:
                texts.append(piece)
                size = length
        return tuple(_chunk(document, place, text) for place, text in enumerate(texts or [""]))

    def _pieces(self, text: str) -> Iterable[str]:
        for paragraph in re.split(r"\n\s*\n", text):
            found = paragraph.split()
            if len(found) <= self.max_words:
                if found:
                    yield paragraph.strip()
            else:
                for start in range(0, len(found), self.max_words):
                    yield " ".join(found[start : start + self.max_words])


@dataclass(frozen=True, kw_only=True)
class RefusedFile:
    """A file that is no document, and why. `document` is the id that it would have."""

    path: Path
    document: str
    error: InvalidDocument


@dataclass(frozen=True, kw_only=True)
class CorpusFolder:
    documents: tuple[Document, ...]  # by id
    refused: tuple[RefusedFile, ...]  # by path


def read_corpus(folder: Path) -> tuple[Document, ...]:
    """As `read_folder`. Raises InvalidDocument also where a file cannot be used."""
    found = read_folder(folder)
    if found.refused:
        raise found.refused[0].error
    return found.documents


def read_folder(folder: Path) -> CorpusFolder:
    """Every `*.md` below `folder`; a file's stem is the id, its `# ` heading the title.

    Of files with one id all are refused: nobody said which of them is meant. Raises
    InvalidDocument where the folder cannot be read or has no such file.
    """
    try:
        paths = sorted(_markdown_files(folder))
    except OSError as error:
        raise _unreadable(Path(error.filename or folder), error.__class__.__name__) from error
    if not paths:
        raise InvalidDocument(
            "RUNG-CORPUS-EMPTY",
            f"{folder} holds no .md file",
            way_out="Name a folder of Markdown articles.",
        )
    alike: dict[str, list[Path]] = {}
    for path in paths:
        alike.setdefault(_id(path).casefold(), []).append(path)
    documents, refused = [], []
    for path in paths:
        try:
            _require_alone(path, alike[_id(path).casefold()])
            documents.append(_read(path))
        except InvalidDocument as error:
            refused.append(RefusedFile(path=path, document=_id(path), error=error))
    documents.sort(key=lambda document: document.id)
    return CorpusFolder(documents=tuple(documents), refused=tuple(refused))


def cut(documents: Iterable[Document], chunker: Chunker) -> tuple[Chunk, ...]:
    """The chunks of all documents, by id."""
    chunks = (chunk for document in documents for chunk in chunker.chunks(document))
    return tuple(sorted(chunks, key=lambda chunk: chunk.id))


def _markdown_files(folder: Path) -> Iterator[Path]:
    """Raises OSError for a folder that cannot be listed: its articles would count as deleted."""

    def refuse(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=refuse):
        for path in (Path(place, name) for name in names if name.endswith(".md")):
            if path.is_file():
                yield path


def _chunk(document: Document, place: int, text: str) -> Chunk:
    name = f"{document.id}#{place:04d}"
    return Chunk(id=name, document=document.id, title=document.title, text=text)


def _id(path: Path) -> str:
    return unicodedata.normalize("NFC", _shown(path.stem))


def _shown(name: str) -> str:
    """As it can be printed: a file's name may be any bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _require_alone(path: Path, alike: Sequence[Path]) -> None:
    for other in alike:
        if other != path:
            raise InvalidDocument(
                "RUNG-CORPUS-DUPLICATE",
                f"{path} and {other} would both have the id {path.stem}",
                way_out="Rename one: a file's name without .md is the document's id.",
            )


def _require_short(path: Path, what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise InvalidDocument(
            "RUNG-CORPUS-SIZE",
            f"{_shown(str(path))}: its {what} has {len(text):,} characters, more than {most:,}",
            way_out="Shorten it; a file's name is the document's id, its heading the title.",
        )


def _read(path: Path) -> Document:
    _require_short(path, "name, without .md,", _id(path), ID_LENGTH)
    try:
        path.stem.encode()  # a name that is no UTF-8 can be no id
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InvalidDocument(
                "RUNG-CORPUS-SIZE",
                f"{path} has {size:,} bytes, more than {MAX_FILE_BYTES:,}",
                way_out="Split it into articles.",
            )
        content = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, error.__class__.__name__) from error
    if "\0" in content:
        raise _unreadable(path, "it holds NUL characters")
    lines = content.splitlines()
    heading = next((n for n, line in enumerate(lines) if line.startswith("# ")), None)
    title = path.stem.replace("-", " ").replace("_", " ")
    if heading is not None:
        title = lines[heading][2:].strip() or title
        del lines[heading]
        _require_short(path, "heading", title, TITLE_LENGTH)
    text = "\n".join(lines).strip()
    if not text:
        raise InvalidDocument(
            "RUNG-CORPUS-EMPTY",
            f"{path} holds no text below its heading",
            way_out="Write the article or remove the file.",
        )
    return Document(id=_id(path), title=title, text=text)


def _unreadable(path: Path, why: str) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-CORPUS-READ",
        f"{_shown(str(path))} cannot be read ({why})",
        way_out="Name an existing folder of UTF-8 text files.",
    )
