"""Messages in a folder: in order, each to one reader, and what is no message ends nobody."""

from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from workers.folder_transport import Channel, Transport


@pytest.fixture
def channel(tmp_path: Path) -> Any:
    options = {
        "data_folder_in": str(tmp_path),
        "data_folder_out": str(tmp_path),
        "control_folder": str(tmp_path / "control"),
    }
    connection = Connection(transport=Transport, transport_options=options)
    opened = connection.channel()
    assert isinstance(opened, Channel)
    yield opened
    connection.close()


def test_in_order_once_and_by_queue(channel: Any, tmp_path: Path) -> None:
    for n in range(20):
        channel._put("one", {"n": n})
    channel._put("other", {"n": -1})
    assert [channel._get("one")["n"] for _ in range(20)] == list(range(20))
    with pytest.raises(Empty):
        channel._get("one")
    assert channel._get("other") == {"n": -1}
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, "])
def test_what_is_no_message_is_passed_over(channel: Any, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0_broken.one.msg").write_bytes(content)
    channel._put("one", {"n": 1})
    assert channel._get("one") == {"n": 1}
