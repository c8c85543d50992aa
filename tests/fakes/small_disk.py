"""A disk that a test can fill: a tmpfs of a few megabytes, mounted for as long as it runs."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.services import REQUIRED

BLOCK = 4096


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    folder: Path

    def fill(self) -> None:
        """To the last block."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(BLOCK))

    def free(self) -> None:
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounting is root's: without that right the test skips, or fails where all is required."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "rung-test", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as error:
        why = f"no tmpfs can be mounted: {getattr(error, 'stderr', error)}"
        if os.environ.get(REQUIRED) == "1" and os.geteuid() == 0:
            pytest.fail(f"{why} ({REQUIRED}=1)")
        pytest.skip(why)
    try:
        yield SmallDisk(folder=folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)
