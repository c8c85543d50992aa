"""Names that decision.yaml admits for the columns of any table."""

import re
from collections.abc import Sequence

LONGEST = 56  # of the 63 that a name may have: a suffix has to fit


def names_of(columns: Sequence[str]) -> dict[str, str]:
    """Column to name: lower case with underscores, each once; `emp.var.rate` is emp_var_rate."""
    names: dict[str, str] = {}
    # What is a name already keeps it, whoever stands first.
    for column in sorted(columns, key=lambda column: valid_name(column) != column):
        wanted = name = valid_name(column)
        number = 2
        while name in names.values():
            name = f"{wanted}_{number}"
            number += 1
        names[column] = name
    return names


def valid_name(text: str) -> str:
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)  # reservationStatus
    letters = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:LONGEST].rstrip("_")
    return letters if letters[:1].isalpha() else f"c_{letters}".rstrip("_")
