"""A test that needs a server never passes over its absence unseen where all are required."""

import pytest

from tests.fakes.services import REQUIRED, Service


def down() -> str:
    raise ConnectionRefusedError("refused")


MISSING = Service(name="Nothing", port=1, answering=down)
THERE = Service(name="Something", port=2, answering=lambda: "some://url")


def test_what_answers_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    assert THERE.look() == ("some://url", "")
    assert THERE.needed() == "some://url"


def test_without_it_a_test_skips_and_fails_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="Nothing on"):
        MISSING.needed()
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="Nothing on"):
        MISSING.needed()
