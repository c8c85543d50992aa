"""Which fields a request has, and the check that one fits."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field, model_validator

from core.contracts import Json
from core.errors import InvalidFacts
from core.spec.strict import Name, Strict

MAX_TEXT = 20_000  # characters; a longer message is a document


class FieldSpec(Strict):
    """`missing: unknown` admits an absent value; `available: false` is known only afterwards.

    `column`, `format` and `known_at` are of training tables: the column's name where it differs,
    how a time is written there (strptime, in UTC), and the column that says when the value became
    known. `unseen: unknown` takes a category's undeclared value for an unknown one.
    """

    type: Literal["text", "category", "number", "integer", "boolean", "time"]
    meaning: str = ""
    # Not "null": as a key of YAML that would be no text.
    missing: Literal["refuse", "unknown"] = "refuse"
    unseen: Literal["refuse", "unknown"] = "refuse"
    available: bool = True
    column: str = Field(default="", max_length=200)
    format: str = Field(default="", max_length=60)
    known_at: Name | None = None
    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] = ()
    max_length: int = Field(default=4000, gt=0, le=MAX_TEXT)
    unit: str = ""

    @model_validator(mode="after")
    def _fits_its_type(self) -> "FieldSpec":
        if self.type == "category" and not self.values:
            raise ValueError("a category lists its values, such as values: [new, standard]")
        if (self.values or self.unseen != "refuse") and self.type != "category":
            raise ValueError("only a category has values and unseen; write type: category")
        if self.unseen == "unknown" and self.missing == "refuse":
            raise ValueError("unseen: unknown makes a value unknown; write missing: unknown too")
        if self.format and self.type != "time":
            raise ValueError("only a time has a format; write type: time")
        if (self.min is not None or self.max is not None) and self.type not in (
            "number",
            "integer",
        ):
            raise ValueError("only a number or an integer has min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max; exchange them")
        return self


class RowNumber(Strict):
    """Rows in the order of time without a time: what is later stands below.

    `label_delay_rows` is how many rows later the label of a row is known.
    """

    row_number: Literal[True]
    label_delay_rows: int | None = Field(default=None, ge=0)


class RequestSchema(Strict):
    """`text` names the field that intents and retrieval read, `time` when the event happened.

    Without a text there are no intents: the model over the structured fields decides.
    """

    text: Name | None = None
    entity: Name | None = None
    time: Name | RowNumber | None = None
    fields: dict[Name, FieldSpec] = Field(min_length=1)

    @property
    def time_field(self) -> str | None:
        """The field of the event's time; None where rows are in order without one."""
        return None if isinstance(self.time, RowNumber) else self.time

    def text_of(self, facts: Mapping[str, Json]) -> str:
        """What the request says; empty where it has no text."""
        return str(facts[self.text]) if self.text else ""

    @model_validator(mode="after")
    def _names_exist(self) -> "RequestSchema":
        roles = {"text": (self.text, "text"), "time": (self.time_field, "time")}
        for role, (name, kind) in {**roles, "entity": (self.entity, "text")}.items():
            if name is None:
                continue
            if name not in self.fields:
                raise ValueError(f"{role} names '{name}', which is no field; add it to fields")
            if self.fields[name].type != kind:
                raise ValueError(f"the field '{name}' must be of type {kind} to be the {role}")
            if not self.fields[name].available:
                raise ValueError(
                    f"{role} names '{name}', which must be available at prediction time"
                )
        if self.text and self.fields[self.text].missing != "refuse":
            raise ValueError(f"'{self.text}' is what is decided on; it cannot be missing")
        if self.text and self.entity == self.text:
            raise ValueError("entity must not be the text: it is replaced by a pseudonym")
        columns = [field.column or name for name, field in self.fields.items()]
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise ValueError(f"two fields read the column '{twice[0]}'; keep one")
        return self

    def validate_facts(self, facts: Any) -> dict[str, Json]:
        """The facts as the schema admits them, every field present and null where unknown.

        Raises InvalidFacts that names the field and what may stand there.
        """
        if not isinstance(facts, Mapping):
            raise InvalidFacts(
                "RUNG-FACTS-TYPE",
                "the facts of a request are an object of names and values",
                way_out='Send for example {"amount": 12.5}.',
            )
        known = {name for name, field in self.fields.items() if field.available}
        strange = sorted(str(name) for name in facts if name not in known)
        if strange:
            raise InvalidFacts(
                "RUNG-FACTS-UNKNOWN",
                f"the field '{_shown(strange[0])}' does not exist at prediction time",
                way_out=f"Send only: {', '.join(sorted(known))}.",
            )
        return {
            name: admit_value(name, self.fields[name], facts.get(name)) for name in sorted(known)
        }


def admit_value(name: str, field: FieldSpec, value: Any) -> Json:
    """What the field admits of one value. Raises InvalidFacts that says what may stand there."""
    if value is None:
        if field.missing == "refuse":
            raise InvalidFacts(
                "RUNG-FACTS-NULL",
                f"the field '{name}' is missing",
                way_out="Send a value, or declare missing: unknown in decision.yaml.",
            )
        return None
    if field.unseen == "unknown" and isinstance(value, str) and value not in field.values:
        return None
    problem = _problem(field, value)
    if problem:
        raise InvalidFacts(
            "RUNG-FACTS-VALUE", f"the field '{name}' {problem}", way_out=f"Send {_wanted(field)}."
        )
    if field.type == "number":
        return float(value)
    return value  # type: ignore[no-any-return]  # _problem has held it against the field's type


def _problem(field: FieldSpec, value: Any) -> str:
    kinds = {"number": (int, float), "integer": (int,), "boolean": (bool,)}.get(field.type, (str,))
    if not isinstance(value, kinds) or (field.type != "boolean" and isinstance(value, bool)):
        return f"is of the wrong type ({type(value).__name__})"
    if isinstance(value, str):
        return _text_problem(field, value)
    if isinstance(value, bool):
        return ""
    if isinstance(value, int) and abs(value) > 2**53:
        return "is outside what a double holds exactly"
    if not math.isfinite(value):
        return "is not a finite number"
    if field.min is not None and value < field.min:
        return f"is below {field.min:g}"
    if field.max is not None and value > field.max:
        return f"is above {field.max:g}"
    return ""


def _text_problem(field: FieldSpec, value: str) -> str:
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        return "holds a NUL or a lone surrogate"
    if field.type == "category":
        return "" if value in field.values else f"has no value '{_shown(value)}'"
    if field.type == "time":
        try:
            moment = datetime.fromisoformat(value)
            moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return "is no ISO 8601 time from year 1 to 9999 in UTC"
        return "" if moment.tzinfo else "has no time zone"
    if len(value) > field.max_length:
        return f"is longer than {field.max_length} characters"
    return "" if value.strip() else "is empty"


def _wanted(field: FieldSpec) -> str:
    if field.type == "category":
        return "one of: " + ", ".join(field.values)
    if field.type == "time":
        return "a time such as 2026-01-31T12:00:00+00:00"
    if field.type == "text":
        return f"a text of 1 to {field.max_length} characters"
    low = "" if field.min is None else f" from {field.min:g}"
    high = "" if field.max is None else f" to {field.max:g}"
    return f"{'true or false' if field.type == 'boolean' else f'a {field.type}'}{low}{high}"


def _shown(text: str) -> str:
    return text[:40].encode("ascii", "backslashreplace").decode()
