"""Types of columns that hold the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.types import TypeDecorator

from core.errors import InvalidRequest
from core.store.codec import from_text, to_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# SQLite gives ids by itself to a column that is INTEGER exactly.
Sequence = BigInteger().with_variant(Integer, "sqlite")


class Word(TypeDecorator[str]):
    """A text from outside of at most `longest` characters; PostgreSQL has no NUL, UTF-8 no lone
    surrogate, so that both are refused before either database meets them."""

    impl = Text
    cache_ok = True

    def __init__(self, longest: int = 200) -> None:
        super().__init__()
        self.longest = longest

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if len(value) > self.longest or "\0" in value or not _is_utf8(value):
            raise InvalidRequest(
                "RUNG-TEXT-INVALID",
                f"a text is longer than {self.longest} characters, or holds a NUL or a surrogate",
                way_out="Send plain text of that length at most.",
            )
        return value


class Moment(TypeDecorator[datetime]):
    """Microseconds since 1970 in UTC: ordered alike everywhere, and no time zone to lose."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


class JsonText(TypeDecorator[Any]):
    """JSON in ASCII, so that no character of a payload depends on the database's encoding."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else to_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else from_text(value)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
