"""The requests that the pages show are sent here, in the order in which they stand."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

from core.identity.keys import SCOPES
from tests.fakes.http_face import Face

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference/api.md").read_text("utf-8")
HOW_TO = (DOCS / "how-to/serve.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)


def send(face: Face, block: str) -> Any:
    head, _, body = block.strip().partition("\n\n")
    first, *lines = head.splitlines()
    method, path = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    if "Content-Type" in headers:
        return face.send(method, path, headers=headers, content=body.encode())
    return face.send(method, path, headers=headers, json=json.loads(body) if body else None)


def test_the_reference(face: Face) -> None:
    face.decide("a person, please")
    (review,) = face.send("GET", "/v1/reviews").json()["reviews"]
    known = {"{review_id}": review["id"]}
    for block in blocks(REFERENCE, "http"):
        for place, value in known.items():
            block = block.replace(place, value)
        response = send(face, block)
        assert response.is_success, (block, response.text)
        if block.startswith("POST /v1/decisions/support\n"):
            known["{decision_id}"] = response.json()["id"]
    assert len(blocks(REFERENCE, "http")) == 9
    assert face.send("GET", f"/v1/reviews/{review['id']}").json()["state"] == "resolved"


def test_the_table_of_routes_is_the_app(face: Face) -> None:
    shown = re.findall(r"^\| `(GET|POST|PUT|DELETE) (/\S+)` \| (\w+) \|", REFERENCE, re.M)
    described = face.app.openapi()["paths"]
    scopes = {}
    for method, path, scope in shown:
        if path == "/openapi.json":  # not in its own description
            continue
        (needed,) = described[path][method.lower()]["security"][0].values()
        scopes[path, method] = needed
        assert needed == ([] if scope == "any" else [scope]), path
    assert set(scopes) == {
        (path, method.upper()) for path, methods in described.items() for method in methods
    }


def test_the_table_of_scopes_is_what_routes_ask_for(face: Face) -> None:
    shown = re.findall(r"^\| `(\w+)` \| to ", REFERENCE, re.M)
    asked = {
        scope
        for path in face.app.openapi()["paths"].values()
        for route in path.values()
        for needed in route["security"][0].values()
        for scope in needed
    }
    assert shown == list(dict.fromkeys(shown))
    assert set(shown) == asked == set(SCOPES)


def test_the_how_to(face: Face) -> None:
    lines = [line for block in blocks(HOW_TO, "bash") for line in block.splitlines()]
    assert lines
    for line in lines:
        program, url, *words = shlex.split(line.replace("$KEY", face.key))
        assert program == "curl"
        given = list(zip(words[::2], words[1::2], strict=True))
        headers = dict(value.split(": ", 1) for flag, value in given if flag == "-H")
        bodies = [value for flag, value in given if flag == "-d"]
        path = url.removeprefix("http://127.0.0.1:8000")
        method = "POST" if bodies else "GET"  # as curl chooses
        headers.setdefault("Authorization", "")
        response = face.send(method, path, headers=headers, content="".join(bodies))
        assert response.is_success, response.text
