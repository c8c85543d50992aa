"""What a person names by an id of hexadecimal digits, or by as many of the first as are unique."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.errors import Conflict, NotFound

SHOWN = 40  # characters of a wrong one
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ByPrefix:
    """`thing` is its word, `listed_by` the command that lists them; an id has `most` digits."""

    thing: str
    listed_by: str
    unknown: str  # the codes
    ambiguous: str
    least: int = 1
    most: int = 64

    def only(self, prefix: str, beginning: Callable[[str], Sequence[T]]) -> T:
        """The one that `beginning` finds; it may stop at two, and is asked of digits alone.

        Raises NotFound for none and Conflict for several.
        """
        digits = rf"[0-9a-f]{{{self.least},{self.most}}}"
        found = beginning(prefix) if re.fullmatch(digits, prefix) else ()
        if not found:
            raise self.missing(prefix)
        if len(found) > 1:
            raise Conflict(
                self.ambiguous,
                f"several {self.thing}s begin with '{prefix}'",
                way_out=f"Give more of its digits; `{self.listed_by}` shows them.",
            )
        return found[0]

    def missing(self, prefix: str) -> NotFound:
        enough = f"; give {self.least} digits or more" if self.least > 1 else ""
        return NotFound(
            self.unknown,
            f"there is no {self.thing} '{prefix[:SHOWN]}'",
            way_out=f"`{self.listed_by}` shows those of this tenant{enough}.",
        )
