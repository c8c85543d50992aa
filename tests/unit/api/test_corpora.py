"""Documents over HTTP: taken once, refused by line, gone when deleted, streamed without end."""

import asyncio
import dataclasses
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from api.app import create_app
from core.artifacts import ArtifactStore
from core.embedding import TextEmbedder
from core.jobs import Job, JobLedger
from core.jobs.corpus_jobs import BULK, FRESH
from core.store.documents import CorpusName, mark_failed
from router.parts import RELEASE, LadderParts
from router.runtime import Runtime
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.http_face import Face
from tests.fakes.service import SPEC

CORPUS = "/v1/corpora/support.corpus"
DOCUMENTS = f"{CORPUS}/documents"
NDJSON = {"Content-Type": "application/x-ndjson"}
WHICH = CorpusName(tenant_id="acme", decision="support", corpus="corpus")


def article(name: str, text: str = "A text.", **further: Any) -> dict[str, Any]:
    return {"id": name, "title": name.title(), "text": text, **further}


def put(face: Face, *articles: dict[str, Any], **options: Any) -> Any:
    return face.send("PUT", DOCUMENTS, json={"documents": list(articles)}, **options)


def lines(*content: dict[str, Any] | bytes) -> bytes:
    return b"\n".join(
        one if isinstance(one, bytes) else json.dumps(one).encode() for one in content
    )


def stream(face: Face, content: bytes | AsyncIterator[bytes]) -> Any:
    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        return await client.put(DOCUMENTS, content=content, headers=NDJSON)

    return face.run(talk)


def open_jobs(face: Face, kind: str) -> tuple[Job, ...]:
    return JobLedger(face.store).open_jobs("acme", kind)


def code(response: Any) -> str:
    found: str = response.json()["error"]["code"]
    return found


def test_documents_are_taken_and_a_job_with_them(face: Face) -> None:
    sent = put(face, article("a"), article("b"))
    assert sent.status_code == 202
    assert sent.json() == {"accepted": 2, "unchanged": 0, "refused": 0, "refusals": []}
    (job,) = open_jobs(face, "embed_documents")
    assert job.priority == FRESH and len(job.payload["documents"]) == 2  # type: ignore[arg-type]
    told = face.send("GET", f"{DOCUMENTS}/a").json()
    assert {name: told[name] for name in ("id", "title", "state", "reason", "source")} == {
        "id": "a",
        "title": "A",
        "state": "waiting",
        "reason": None,
        "source": "api",
    }
    corpus = face.send("GET", CORPUS).json()
    assert corpus["documents"] == {"waiting": 2, "ready": 0, "failed": 0, "deleted": 0}
    assert (corpus["decision"], corpus["corpus"], corpus["revision"]) == ("support", "corpus", 0)
    assert corpus["indexes"] == []


def test_the_same_again_changes_nothing_and_another_text_does(face: Face) -> None:
    put(face, article("a"))
    again = put(face, article("a")).json()
    assert (again["accepted"], again["unchanged"]) == (0, 1)
    assert len(open_jobs(face, "embed_documents")) == 1
    other = put(face, article("a", "Another text.")).json()
    assert (other["accepted"], other["unchanged"]) == (1, 0)
    assert len(open_jobs(face, "embed_documents")) == 2


def test_deleted_is_gone_and_an_index_without_it_is_asked_for(face: Face) -> None:
    put(face, article("a"), article("b/c d"), article("e"))
    assert face.send("DELETE", f"{DOCUMENTS}/b/c%20d").json() == {"deleted": 1}
    assert face.send("DELETE", f"{DOCUMENTS}/b/c%20d").json() == {"deleted": 0}
    many = face.send("DELETE", DOCUMENTS, json={"ids": ["a", "e", "nobody"]})
    assert many.json() == {"deleted": 2}
    gone = face.send("GET", f"{DOCUMENTS}/a")
    assert (gone.status_code, code(gone)) == (404, "RUNG-DOCUMENT-UNKNOWN")
    corpus = face.send("GET", CORPUS).json()
    assert corpus["documents"] == {"waiting": 0, "ready": 0, "failed": 0, "deleted": 3}
    assert corpus["revision"] == 2
    assert {job.payload["revision"] for job in open_jobs(face, "build_index")} == {2}
    assert face.store.deleted_since("acme", "support", "corpus", 0) == {"a", "b/c d", "e"}
    assert put(face, article("a")).json()["accepted"] == 1


def test_what_failed_is_listed_with_its_reason_and_without_its_text(face: Face) -> None:
    put(face, *(article(name, "the text itself") for name in "abcdef"))
    face.send("DELETE", f"{DOCUMENTS}/c")
    seqs = [face.store.document("acme", "support", "corpus", name).seq for name in "bde"]
    with face.store.writing() as connection:
        mark_failed(connection, "acme", seqs, "it is in no language")
    put(face, article("d", "another text"))  # what failed has been sent again

    def listed(**query: Any) -> list[str]:
        answer = face.send("GET", DOCUMENTS, params=query)
        assert answer.status_code == 200 and "text" not in answer.text
        return [document["id"] for document in answer.json()["documents"]]

    assert listed() == ["a", "b", "d", "e", "f"]
    assert listed(state="failed") == ["b", "e"]
    assert listed(state="waiting") == ["a", "d", "f"]
    assert listed(state="failed", limit=1) == ["b"]
    assert listed(state="failed", limit=1, after="b") == ["e"]
    assert listed(after="f") == listed(state="ready") == []
    (first, _) = face.send("GET", DOCUMENTS, params={"state": "failed"}).json()["documents"]
    assert first == face.send("GET", f"{DOCUMENTS}/b").json()
    assert first["reason"] == "it is in no language"


@pytest.mark.parametrize(
    "query", [{"state": "deleted"}, {"limit": 0}, {"limit": 201}, {"after": ""}]
)
def test_a_parameter_of_the_list_that_is_none_is_refused(face: Face, query: dict[str, Any]) -> None:
    assert code(face.send("GET", DOCUMENTS, params=query)) == "RUNG-REQUEST-INVALID"


@pytest.mark.parametrize(
    ("name", "status", "told"),
    [
        ("corpus", 409, "RUNG-CORPUS-AMBIGUOUS"),
        ("nothing", 404, "RUNG-CORPUS-UNKNOWN"),
        ("support.nothing", 404, "RUNG-CORPUS-UNKNOWN"),
        ("nothing.corpus", 404, "RUNG-CORPUS-UNKNOWN"),
        ("%00", 404, "RUNG-CORPUS-UNKNOWN"),
        ("a" * 3000, 404, "RUNG-CORPUS-UNKNOWN"),
    ],
)
def test_the_corpus_is_of_one_live_decision(face: Face, name: str, status: int, told: str) -> None:
    for method, path, body in (
        ("PUT", f"/v1/corpora/{name}/documents", {"documents": [article("a")]}),
        ("DELETE", f"/v1/corpora/{name}/documents", {"ids": ["a"]}),
        ("DELETE", f"/v1/corpora/{name}/documents/a", None),
        ("GET", f"/v1/corpora/{name}", None),
        ("GET", f"/v1/corpora/{name}/documents", None),
        ("GET", f"/v1/corpora/{name}/documents/a", None),
    ):
        refused = face.send(method, path, json=body)
        assert (refused.status_code, code(refused)) == (status, told), (method, path)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "RUNG-REQUEST-INVALID"),
        ({"documents": []}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a")] * 201}, "RUNG-REQUEST-INVALID"),
        ({"documents": [{"id": "a"}]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("")]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a\0")]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a", "b\0")]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a", 3)]}, "RUNG-REQUEST-INVALID"),  # type: ignore[arg-type]
        ({"documents": [article("a", language="de")]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a" * 201)]}, "RUNG-REQUEST-INVALID"),
        ({"documents": [article("a", " \n\t")]}, "RUNG-CORPUS-EMPTY"),
        ({"documents": [article("good"), article("a", " ")]}, "RUNG-CORPUS-EMPTY"),
    ],
)
def test_a_json_body_is_taken_whole_or_not_at_all(face: Face, body: Any, told: str) -> None:
    refused = face.send("PUT", DOCUMENTS, json=body)
    assert (refused.status_code, code(refused)) == (422, told)
    assert sum(face.send("GET", CORPUS).json()["documents"].values()) == 0


def test_a_refused_line_is_told_and_does_not_undo_the_others(face: Face) -> None:
    content = lines(
        article("a"),
        b"",
        b"{",
        b'{"id": "\xff"}',
        {"id": "b"},
        article("c", " "),
        article("d", "x" * 1_000_001),
        b'{"id": "e", "id": "e", "text": "x"}',
        article("f"),
        article("a"),
    )
    sent = stream(face, content)
    assert sent.status_code == 202
    told = sent.json()
    assert (told["accepted"], told["unchanged"], told["refused"]) == (2, 1, 6)
    assert [(one["line"], one["code"]) for one in told["refusals"]] == [
        (3, "RUNG-JSON-SYNTAX"),
        (4, "RUNG-JSON-SYNTAX"),
        (5, "RUNG-REQUEST-INVALID"),
        (6, "RUNG-CORPUS-EMPTY"),
        (7, "RUNG-CORPUS-SIZE"),
        (8, "RUNG-JSON-SYNTAX"),
    ]
    assert face.send("GET", f"{DOCUMENTS}/f").json()["state"] == "waiting"
    (job,) = open_jobs(face, "embed_documents")
    assert job.priority == BULK


def test_a_stream_is_many_jobs_of_bounded_size(face: Face) -> None:
    sent = stream(face, lines(*(article(f"d{n:04d}") for n in range(450))))
    assert sent.json()["accepted"] == 450
    sizes = [len(job.payload["documents"]) for job in open_jobs(face, "embed_documents")]  # type: ignore[arg-type]
    assert sorted(sizes) == [50, 200, 200]
    again = stream(face, lines(*(article(f"d{n:04d}") for n in range(450))))
    assert (again.json()["accepted"], again.json()["unchanged"]) == (0, 450)
    assert len(open_jobs(face, "embed_documents")) == 3


def test_a_document_of_50_megabytes_is_refused_without_being_held(face: Face) -> None:
    async def sending() -> AsyncIterator[bytes]:
        yield json.dumps(article("before")).encode() + b'\n{"id": "big", "title": "", "text": "'
        for _ in range(800):
            yield b"x" * 65_536
        yield b'"}\n' + json.dumps(article("after")).encode()

    tracemalloc.start()
    told = stream(face, sending()).json()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (told["accepted"], told["refused"]) == (2, 1)
    assert [(one["line"], one["code"]) for one in told["refusals"]] == [(2, "RUNG-CORPUS-SIZE")]
    assert peak < 25_000_000


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 64])
def test_lines_may_be_cut_anywhere(face: Face, cut: int) -> None:
    whole = lines(article("a"), article("b", "ä € 😀\r"), article("c")) + b"\r\n\r\n"

    async def sending() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), cut):
            yield whole[start : start + cut]

    assert stream(face, sending()).json()["accepted"] == 3
    assert sorted(face.store.corpus_state("acme", "support", "corpus").documents.values())[-1] == 3


def test_a_line_that_never_ends_is_given_up_and_what_came_before_stays(face: Face) -> None:
    context = face.app.state.context
    face.app.state.context = dataclasses.replace(context, body_seconds=0.3)

    async def sending() -> AsyncIterator[bytes]:
        yield lines(*(article(f"d{n}") for n in range(200))) + b"\n"
        while True:
            await asyncio.sleep(0.02)
            yield b" "

    refused = stream(face, sending())
    assert (refused.status_code, code(refused)) == (408, "RUNG-BODY-SLOW")
    assert face.store.corpus_state("acme", "support", "corpus").documents["waiting"] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-ndjson; charset=latin-1"},
        {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
        {"Content-Type": "application/ndjson"},
    ],
)
def test_no_other_type_is_streamed(face: Face, headers: dict[str, str]) -> None:
    refused = face.send("PUT", DOCUMENTS, content=lines(article("a")), headers=headers)
    assert (refused.status_code, code(refused)) == (415, "RUNG-BODY-TYPE")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/decisions/support"),
        ("DELETE", DOCUMENTS),
        ("PUT", f"{DOCUMENTS}/a"),
        ("POST", DOCUMENTS),
        ("PUT", "/v1/corpora/a/b/documents"),
    ],
)
def test_no_other_route_takes_a_stream(face: Face, method: str, path: str) -> None:
    refused = face.send(method, path, content=lines(article("a")), headers=NDJSON)
    assert (refused.status_code, code(refused)) == (415, "RUNG-BODY-TYPE")


def test_who_has_no_key_is_not_listened_to(face: Face) -> None:
    read = 0

    async def sending() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 65_536

    async def talk(client: httpx.AsyncClient) -> httpx.Response:
        headers = {**NDJSON, "Authorization": "Bearer nobody"}
        return await client.put(DOCUMENTS, content=sending(), headers=headers)

    assert face.run(talk).status_code == 401
    assert read < 5


def test_another_tenants_documents_are_not_there(face: Face) -> None:
    put(face, article("a"))
    assert face.send("GET", f"{DOCUMENTS}/a", key=face.foreign).status_code == 404
    assert face.send("DELETE", f"{DOCUMENTS}/a", key=face.foreign).json() == {"deleted": 0}
    assert face.send("GET", f"{DOCUMENTS}/a").json()["state"] == "waiting"


def test_ids_that_no_document_can_have(face: Face) -> None:
    for name in ("%00", "%ed%a0%80", "x" * 500):
        refused = face.send("GET", f"{DOCUMENTS}/{name}")
        assert 400 <= refused.status_code < 500, refused.text


def test_documents_are_taken_where_no_index_is_there_to_answer_from(tmp_path: Path) -> None:
    face, opened = Face(tmp_path), []
    artifacts = ArtifactStore(tmp_path / "artifacts", b"key")

    def door(parts: LadderParts, embedder: TextEmbedder | None) -> NoReturn:
        opened.append(parts)
        raise AssertionError("nothing is to be answered")

    runtime = Runtime(
        settings=face.settings,
        store=face.store,
        artifacts=artifacts,
        embedder=HashingEmbedder,
        door=door,
        clock=face.clock,
    )
    for version in ("1", "2"):  # no model is in either release
        written = SPEC if version == "1" else SPEC.replace("corpus: corpus", "corpus: articles")
        release = artifacts.put("acme", RELEASE, {"decision.yaml": written.encode()})
        face.store.register_release("acme", "support", release)
        face.app = create_app(runtime, face.settings, face.clock)
        corpus = "corpus" if version == "1" else "articles"
        body = {"documents": [article("a")]}
        sent = face.send("PUT", f"/v1/corpora/{corpus}/documents", json=body)
        assert (sent.status_code, sent.json()["accepted"]) == (202, 1)
        assert face.send("GET", f"/v1/corpora/{corpus}").json()["documents"]["waiting"] == 1
        assert face.decide().status_code == 503
    assert code(face.send("GET", "/v1/corpora/corpus")) == "RUNG-CORPUS-UNKNOWN"
    for path in (tmp_path / "artifacts" / "acme" / "manifests").iterdir():
        path.unlink()
    assert face.send("GET", "/v1/corpora/articles").status_code == 200  # the spec is known
    assert not opened
