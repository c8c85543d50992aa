"""Writes a file so that nobody, whatever dies meanwhile, ever finds a part of it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

Sync = Callable[[int], None]  # down to the disk, as os.fsync does it


def write_whole(path: Path, content: bytes, *, sync: Sync = os.fsync) -> None:
    """In place of what was there, on the disk under its name when this returns; its folder is
    made. Raises OSError."""
    _make_folder(path.parent, sync)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    settle(path.parent, sync=sync)


def settle(folder: Path, *, sync: Sync = os.fsync) -> None:
    """The names in it, which a power cut takes where only the files are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path, sync: Sync) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, sync)
    folder.mkdir(exist_ok=True)
    settle(folder.parent, sync=sync)
