"""Takes the documents of a corpus, one or a stream of them, and shows what became of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, status
from pydantic import ValidationError

from api.auth import Operator, guarded_router
from api.context import Context, Shared
from api.errors import invalid_request
from api.json_body import Read, parse_body, raw_body, read_json
from api.ndjson import KIND, Line, is_ndjson, read_lines
from api.openapi import takes
from api.schemas.common import DocumentId
from api.schemas.corpora import (
    CorpusBody,
    CorpusIndexBody,
    DeleteBody,
    DeletedReceipt,
    DocumentBody,
    DocumentsBody,
    DocumentsReceipt,
    DocumentStateBody,
    DocumentStatesBody,
    RefusedLine,
)
from core.document_limits import TEXT_LENGTH
from core.errors import Conflict, InvalidDocument, NotFound, RungError
from core.jobs.corpus_jobs import (
    BULK,
    CHARACTERS_A_JOB,
    DOCUMENTS_A_JOB,
    FRESH,
    put_documents,
    remove_documents,
)
from core.store.documents import CorpusName, NewDocument
from core.store.indexes import IndexRow

router = guarded_router("/v1/corpora", subject="corpora")
MOST_TOLD = 100  # refused lines in one answer; the rest are counted


def _takes_both() -> dict[str, Any]:
    described = takes(DocumentsBody)
    line = {"schema": DocumentBody.model_json_schema()}
    described["requestBody"]["content"][KIND] = line
    return described


@router.put("/{name}/documents", status_code=status.HTTP_202_ACCEPTED, openapi_extra=_takes_both())
async def put(name: str, caller: Operator, context: Shared, request: Request) -> DocumentsReceipt:
    """Documents are searched some seconds later, once a worker has embedded them.

    JSON: all of them or none. JSON lines (application/x-ndjson), as many as there are: each line
    by itself, and what is refused is told.
    """
    which = await _corpus(context, caller.tenant_id, name)
    if is_ndjson(request.headers):
        return await _put_stream(which, context, request)
    read = parse_body(await raw_body(request, context.body_seconds), DocumentsBody)
    new = [admitted(document) for document in read.body.documents]
    written = await context.run(
        put_documents, context.service.store, which, new, source="api", priority=FRESH
    )
    return DocumentsReceipt(accepted=written.accepted, unchanged=written.unchanged)


@router.delete("/{name}/documents", openapi_extra=takes(DeleteBody))
async def delete_many(
    name: str,
    caller: Operator,
    context: Shared,
    read: Annotated[Read[DeleteBody], Depends(read_json(DeleteBody))],
) -> DeletedReceipt:
    """No answer comes from them any more within two seconds. What is not there changes nothing."""
    return await _delete(context, caller.tenant_id, name, read.body.ids)


@router.get("/{name}/documents")
async def documents(
    name: str,
    caller: Operator,
    context: Shared,
    state: Literal["waiting", "ready", "failed", "all"] = "all",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[
        DocumentId | None, Query(description="The last id of the page before.")
    ] = None,
) -> DocumentStatesBody:
    """By id, without their texts; what failed says why."""
    which = await _corpus(context, caller.tenant_id, name)
    found = await context.run(
        context.service.store.documents,
        *(which.tenant_id, which.decision, which.corpus),
        None if state == "all" else state,
        limit=limit,
        after=after or "",
    )
    return DocumentStatesBody(
        documents=tuple(DocumentStateBody.model_validate(one) for one in found)
    )


# An id may hold a slash, so it is a path.
@router.delete("/{name}/documents/{id:path}")
async def delete_one(name: str, id: str, caller: Operator, context: Shared) -> DeletedReceipt:
    """As deleting many."""
    return await _delete(context, caller.tenant_id, name, [id])


@router.get("/{name}")
async def corpus(name: str, caller: Operator, context: Shared) -> CorpusBody:
    """How many documents are in which state, and which index answers at present."""
    which = await _corpus(context, caller.tenant_id, name)
    store = context.service.store
    place = (which.tenant_id, which.decision, which.corpus)
    state = await context.run(store.corpus_state, *place)
    indexes = await context.run(store.indexes_of, *place)
    now = context.clock.now()
    return CorpusBody(
        decision=which.decision,
        corpus=which.corpus,
        revision=state.revision,
        changed_at=state.changed_at,
        documents={str(name): count for name, count in state.documents.items()},
        indexes=tuple(_index(row, now) for row in indexes),
    )


@router.get("/{name}/documents/{id:path}")
async def document(name: str, id: str, caller: Operator, context: Shared) -> DocumentStateBody:
    """Its newest version, and why that is not searched where it failed."""
    which = await _corpus(context, caller.tenant_id, name)
    found = await context.run(
        context.service.store.document, which.tenant_id, which.decision, which.corpus, id
    )
    return DocumentStateBody.model_validate(found)


def admitted(body: DocumentBody) -> NewDocument:
    """Raises InvalidDocument."""
    if len(body.text) > TEXT_LENGTH:
        raise InvalidDocument(
            "RUNG-CORPUS-SIZE",
            f"the text has {len(body.text):,} characters, more than {TEXT_LENGTH:,}",
            way_out="Split it into articles.",
        )
    if not body.text.strip():
        raise InvalidDocument(
            "RUNG-CORPUS-EMPTY", "the document holds no text", way_out="Write it, or delete it."
        )
    return NewDocument(id=body.id, title=body.title, text=body.text)


class _Stream:
    """Writes batch by batch, so that a stream without an end is held in bounded memory."""

    def __init__(self, which: CorpusName, context: Context) -> None:
        self._which = which
        self._context = context
        self._batch: list[NewDocument] = []
        self._size = 0
        self.receipt = DocumentsReceipt(accepted=0, unchanged=0)

    async def take(self, line: Line) -> None:
        try:
            new = admitted(_document(line))
        except RungError as error:
            self._refuse(line, error)
            return
        self._batch.append(new)
        self._size += len(new.text)
        if len(self._batch) == DOCUMENTS_A_JOB or self._size >= CHARACTERS_A_JOB:
            await self.flush()

    async def flush(self) -> None:
        if not self._batch:
            return
        store = self._context.service.store
        written = await self._context.run(
            put_documents, store, self._which, self._batch, source="api", priority=BULK
        )
        self._batch, self._size = [], 0
        self.receipt = self.receipt.model_copy(
            update={
                "accepted": self.receipt.accepted + written.accepted,
                "unchanged": self.receipt.unchanged + written.unchanged,
            }
        )

    def _refuse(self, line: Line, error: RungError) -> None:
        told = RefusedLine(
            line=line.number, code=error.code, message=error.message, way_out=error.way_out
        )
        shown = (*self.receipt.refusals, told)[:MOST_TOLD]
        self.receipt = self.receipt.model_copy(
            update={"refused": self.receipt.refused + 1, "refusals": shown}
        )


async def _put_stream(which: CorpusName, context: Context, request: Request) -> DocumentsReceipt:
    stream = _Stream(which, context)
    async for line in read_lines(request, context.body_seconds):
        await stream.take(line)
    await stream.flush()
    return stream.receipt


def _document(line: Line) -> DocumentBody:
    if line.refused is not None:
        raise line.refused
    try:
        return DocumentBody.model_validate(line.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise invalid_request(place or "the line", first["msg"]) from None


async def _delete(
    context: Context, tenant_id: str, name: str, ids: Sequence[str]
) -> DeletedReceipt:
    which = await _corpus(context, tenant_id, name)
    gone = await context.run(remove_documents, context.service.store, which, ids)
    return DeletedReceipt(deleted=len(gone))


async def _corpus(context: Context, tenant_id: str, name: str) -> CorpusName:
    """`corpus` of the one live decision that has it, or `decision.corpus`. Raises NotFound,
    Conflict where several have it, Unavailable where a decision that may be meant is broken."""
    found: list[CorpusName] = []
    broken: RungError | None = None
    for decision in await context.run(context.service.names, tenant_id):
        try:
            spec = await context.service.spec(tenant_id, decision)
        except RungError as error:
            broken = error
            continue
        for corpus in spec.corpora:
            which = CorpusName(tenant_id=tenant_id, decision=decision, corpus=corpus)
            if name == f"{decision}.{corpus}":
                return which
            if name == corpus:
                found.append(which)
    if broken is not None and not found:
        raise broken
    if len(found) > 1:
        raise Conflict(
            "RUNG-CORPUS-AMBIGUOUS",
            f"{len(found)} live decisions have a corpus of that name",
            way_out=f"Write one of {', '.join(f'{w.decision}.{w.corpus}' for w in found)}.",
        )
    if not found:
        raise NotFound(
            "RUNG-CORPUS-UNKNOWN",
            "no live decision has a corpus of that name",
            way_out="Name it as decision.yaml does, and train the decision first.",
        )
    return found[0]


def _index(row: IndexRow, now: datetime) -> CorpusIndexBody:
    report = dict(row.report)
    return CorpusIndexBody(
        identity=_text(report.pop("identity", None)),
        artifact=row.artifact_id,
        fingerprint=row.fingerprint,
        revision=row.revision,
        documents=_count(report.pop("documents", None)),
        chunks=_count(report.pop("chunks", None)),
        verified=report,
        age_s=(now - row.registered_at).total_seconds(),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None
