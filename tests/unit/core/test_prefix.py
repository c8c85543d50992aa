"""As many digits as are unique name a thing; whatever is no digit is never looked for."""

import pytest

from core.errors import Conflict, NotFound, RungError
from core.prefix import ByPrefix

IDS = ("abcd1", "abcd2", "abff0")
NAMED = ByPrefix(
    thing="box",
    listed_by="rung boxes",
    unknown="RUNG-BOX-UNKNOWN",
    ambiguous="RUNG-BOX-AMBIGUOUS",
    least=3,
    most=5,
)


def only(prefix: str) -> str:
    return NAMED.only(prefix, lambda digits: [one for one in IDS if one.startswith(digits)])


def test_what_is_unique_is_found() -> None:
    assert only("abf") == "abff0" and only("abcd2") == "abcd2"


@pytest.mark.parametrize(
    ("prefix", "kind", "code"),
    [
        ("abc", Conflict, "RUNG-BOX-AMBIGUOUS"),
        ("fff", NotFound, "RUNG-BOX-UNKNOWN"),
        ("ab", NotFound, "RUNG-BOX-UNKNOWN"),
        ("abcd2\n", NotFound, "RUNG-BOX-UNKNOWN"),
    ],
)
def test_what_is_not_unique_and_what_is_none(prefix: str, kind: type[RungError], code: str) -> None:
    with pytest.raises(kind) as caught:
        only(prefix)
    assert caught.value.code == code and "`rung boxes`" in caught.value.way_out


@pytest.mark.parametrize("prefix", ["%", "_____", "ABCD", "abcd10", "x" * 100, ""])
def test_what_is_no_id_is_not_looked_for(prefix: str) -> None:
    def never(digits: str) -> list[str]:
        raise AssertionError(digits)

    with pytest.raises(NotFound) as caught:
        NAMED.only(prefix, never)
    assert len(caught.value.message) < 80 and "3 digits or more" in caught.value.way_out
