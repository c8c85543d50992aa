"""What is written is whole, under its name, and on the disk before anybody is told so."""

import os
from pathlib import Path

import pytest

from core.whole_file import write_whole


class Disk:
    """Notes what is brought down to it: a folder by its name, a file by its content."""

    def __init__(self) -> None:
        self.settled: list[str] = []

    def __call__(self, handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        self.settled.append(str(path) if path.is_dir() else path.read_text())


def test_the_content_goes_down_first_and_then_its_name(tmp_path: Path) -> None:
    disk = Disk()
    write_whole(tmp_path / "file", b"content", sync=disk)
    assert disk.settled == ["content", str(tmp_path)]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_so_do_the_folders_that_are_made_for_it(tmp_path: Path) -> None:
    disk = Disk()
    write_whole(tmp_path / "a" / "b" / "file", b"content", sync=disk)
    folders = [tmp_path, tmp_path / "a"]
    assert disk.settled == [*map(str, folders), "content", str(tmp_path / "a" / "b")]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"before")

    def full(handle: int) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_whole(tmp_path / "file", b"after", sync=full)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]
