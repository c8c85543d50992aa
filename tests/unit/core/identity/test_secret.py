"""The secret is made once, is nobody else's to read, and is the same for all who start at once."""

import stat
import threading
from pathlib import Path

import pytest

from core.errors import InvalidSettings
from core.identity.secret import read_or_make_secret


def test_it_is_made_once_with_the_mode_of_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    first = read_or_make_secret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first.get_secret_value()) >= 32
    assert read_or_make_secret(path).get_secret_value() == first.get_secret_value()
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_all_who_start_at_once_have_the_same(tmp_path: Path) -> None:
    found: list[str] = []
    together = threading.Barrier(12)

    def read() -> None:
        together.wait()
        found.append(read_or_make_secret(tmp_path / "secret").get_secret_value())

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and len(set(found)) == 1


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (b"x" * 40, 0o644),
        (b"x" * 40, 0o620),
        (b"short", 0o600),
        (b"", 0o600),
        (b"\xff" * 40, 0o600),
    ],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes, mode: int) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(InvalidSettings) as caught:
        read_or_make_secret(path)
    assert caught.value.code == "RUNG-SECRET-FILE"
