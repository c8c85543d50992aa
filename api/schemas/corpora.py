"""Documents, and the index that is made of them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from api.schemas.common import DocumentId, Incoming, Outgoing


class DocumentBody(Incoming):
    id: DocumentId
    title: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    text: Annotated[str, Field(min_length=1, pattern=r"^[^\x00]*$")]


class DocumentsBody(Incoming):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "documents": [
                        {
                            "id": "transfers/arrival",
                            "title": "When a transfer arrives",
                            "text": "A transfer inside the country arrives the next working day.",
                        }
                    ]
                }
            ]
        }
    )

    documents: tuple[DocumentBody, ...] = Field(min_length=1, max_length=200)


class RefusedLine(Outgoing):
    line: int
    code: str
    message: str
    way_out: str


class DocumentsReceipt(Outgoing):
    accepted: int = Field(description="To be embedded; searched some seconds later.")
    unchanged: int = Field(description="There already with the same content.")
    refused: int = 0
    refusals: tuple[RefusedLine, ...] = Field(default=(), description="The first 100 of them.")


class DeleteBody(Incoming):
    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["transfers/arrival"]}]})

    ids: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        min_length=1, max_length=1000
    )


class DeletedReceipt(Outgoing):
    deleted: int = Field(description="How many of them were there.")


class CorpusIndexBody(Outgoing):
    identity: str | None = Field(description="Digest of what is indexed and how.")
    artifact: str
    fingerprint: str | None = Field(description="Of the embedder; only that one can search it.")
    revision: int | None = Field(description="Of the corpus that it holds.")
    documents: int | None
    chunks: int | None
    verified: dict[str, JsonValue] = Field(description="What was measured before it came in force.")
    age_s: float


class CorpusBody(Outgoing):
    decision: str
    corpus: str
    revision: int = Field(description="Grows whenever what an index would hold changes.")
    changed_at: datetime | None
    documents: dict[str, int] = Field(description="By state: waiting, ready, failed, deleted.")
    indexes: tuple[CorpusIndexBody, ...] = Field(
        description="In force, one for each embedder; the newest first."
    )


class DocumentStateBody(Outgoing):
    id: str
    title: str
    state: Literal["waiting", "ready", "failed"]
    reason: str | None = Field(description="Why it failed.")
    source: Literal["api", "folder"]
    written_at: datetime


class DocumentStatesBody(Outgoing):
    documents: tuple[DocumentStateBody, ...]
