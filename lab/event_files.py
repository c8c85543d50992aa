"""A file of events, each row held to what its entity's type declares."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from core.entity_features import EntityEvent, admit_values
from core.errors import InvalidDocument, InvalidRequest
from core.json_source import parse_json
from core.spec.entities import EntityType

BATCH_ROWS = 1 << 16


def _no_number(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("a time is an ISO 8601 text or a timestamp")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Id = Annotated[str, Field(min_length=1, max_length=4000)]


class _Row(BaseModel):
    """What the events API takes, with whose event it is and when it was known."""

    model_config = ConfigDict(extra="forbid")

    entity: Id
    id: Id
    kind: Id
    happened_at: Moment
    known_at: Moment
    values: dict[str, Any] = Field(default_factory=dict)


def events_in(path: Path, kind: EntityType) -> Iterator[EntityEvent]:
    """As the file has them. Raises InvalidDocument that names the row."""
    for number, content in _rows(path):
        try:
            row = _Row.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise refused(f"{place}: {first['msg']}", number) from error
        if row.kind not in kind.events:
            raise refused(f"there is no event '{row.kind[:40]}'", number)
        try:
            values = admit_values(row.kind, kind.events[row.kind], row.values)
        except InvalidRequest as error:
            raise InvalidDocument(
                error.code, error.message, way_out=error.way_out, line=number
            ) from error
        yield EntityEvent(
            entity=row.entity,
            id=row.id,
            kind=row.kind,
            happened_at=row.happened_at,
            known_at=row.known_at,
            values=values,
        )


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        if path.suffix == ".parquet":
            batches = pq.ParquetFile(path).iter_batches(BATCH_ROWS)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                values = row.get("values") or {}  # a struct has every field in every row
                present = {name: v for name, v in values.items() if v is not None}
                yield number, {**row, "values": present}
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, parse_json(line, line=number)
    except (OSError, pa.ArrowException) as error:
        raise InvalidDocument(
            "RUNG-EVENTS-READ",
            f"{path} cannot be read as events ({type(error).__name__})",
            way_out="Name an existing .jsonl or .parquet file.",
        ) from error


def refused(message: str, line: int | None = None) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-EVENTS-CONTENT",
        message,
        way_out="See docs/how-to/entity-features.md for the columns of an events table.",
        line=line,
    )
