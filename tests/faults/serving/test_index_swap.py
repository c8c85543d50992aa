"""New versions of an index come into force under load: no request fails, and none mixes two."""

import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.clock import SystemClock
from core.identity.keys import SCOPES
from core.settings import Settings
from core.store import Store
from tests.fakes.crasher import Group
from tests.fakes.text_decision import CORPUS, NAME, TENANT, identity_of, make_live
from tests.fakes.worker_nursery import LEASE_S, RESCUE_S, SECONDS, Nursery
from tests.terminal import environment

PATH = f"/v1/decisions/{NAME}"
TOPICS = ("money", "transfer", "card", "salary", "refund", "cheque", "parcel", "letter")
VERSIONS = 12
CLIENTS = 4
PATIENCE_S = 180.0  # far above what any step takes; reached only where one hangs
EDITION = re.compile(r"edition (\d+)")


def corpus_of(edition: int) -> dict[str, str]:
    """Every document tells its edition, so that a passage of another version would show."""
    return {
        f"arrival/{topic}": f"Your {topic} will arrive on the next day. It is edition {edition}."
        for topic in TOPICS
    } | {f"only/{edition}": f"Only edition {edition} tells when it does arrive at night."}


@dataclass(kw_only=True)
class Load:
    """Clients that ask one question after another and keep every trace."""

    address: str
    headers: dict[str, str]
    over: threading.Event = field(default_factory=threading.Event)
    statuses: list[int] = field(default_factory=list)
    traces: list[Any] = field(default_factory=list)
    fault: BaseException | None = None

    def run(self, number: int) -> None:
        try:
            with self.client() as client:
                while not self.over.is_set():
                    number += 1
                    self._ask(client, f"when does my {TOPICS[number % len(TOPICS)]} arrive")
        except BaseException as error:
            self.fault = error

    def _ask(self, client: httpx.Client, message: str) -> None:
        answer = client.post(PATH, json={"facts": {"message": message}})
        self.statuses.append(answer.status_code)
        if answer.status_code == 200:
            trace = client.get(answer.json()["trace"])
            self.statuses.append(trace.status_code)
            self.traces.append(trace.json())

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=self.headers, timeout=60)


@pytest.fixture
def load(tmp_path: Path, port: int) -> Iterator[Load]:
    """Against a server of a text decision, beside a worker."""
    home, log = tmp_path / "home", tmp_path / "log"
    env = environment(home, **{LEASE_S: "60", RESCUE_S: "10", SECONDS: "0"})
    settings = Settings.from_environment({"RUNG_HOME": str(home)})
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    make_live(settings, store, corpus_of(0))
    headers = {"Authorization": f"Bearer {store.create_key(TENANT, 'load', SCOPES)}"}
    store.close()
    words = [sys.executable, "-m", "tests.fakes.text_decision", str(port)]
    server = Group(command=words, environment=env, log=log)
    nursery = Nursery(env, log)
    server.start()
    workers = nursery.start(1)
    load = Load(address=f"http://127.0.0.1:{port}", headers=headers)
    try:
        _wait(lambda: _is_ready(load))
        yield load
    finally:
        server.kill()
        workers.kill()
        nursery.close()
    assert "Traceback" not in log.read_text()


def test_every_answer_rests_on_one_version_and_no_request_fails(load: Load) -> None:
    threads = [threading.Thread(target=load.run, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    # What each version holds is known here from what was sent, and not asked of the server.
    versions = {identity_of(corpus_of(0))[:12]: corpus_of(0)}
    try:
        with load.client() as client:
            for edition in range(1, VERSIONS + 1):
                content = corpus_of(edition)
                version = identity_of(content)[:12]
                versions[version] = content
                _replace(client, edition)
                _wait(lambda wanted=version: _met(load, wanted))
    finally:
        load.over.set()
        for thread in threads:
            thread.join()
    assert load.fault is None
    assert set(load.statuses) == {200}
    seen = {_version_of(trace, versions) for trace in load.traces}
    assert len(seen & versions.keys()) == VERSIONS + 1


def _replace(client: httpx.Client, edition: int) -> None:
    """The edition before by this one. What is deleted goes at once, and before the rest."""
    documents = [
        {"id": name, "title": name, "text": text} for name, text in corpus_of(edition).items()
    ]
    path = f"/v1/corpora/{CORPUS}/documents"
    gone = client.request("DELETE", path, json={"ids": [f"only/{edition - 1}"]})
    put = client.put(path, json={"documents": documents})
    assert (gone.status_code, put.status_code) == (200, 202), (gone.text, put.text)


def _version_of(trace: Any, versions: dict[str, dict[str, str]]) -> str:
    """The one version that the trace tells of, whose documents all its passages are.

    Between a deletion and the next edition there are versions that hold the rest of the edition
    before; they hold no other texts.
    """
    verdicts = [step["verdict"] for step in trace["steps"]]
    told = {one["details"]["index"] for one in verdicts if "index" in one["details"]}
    assert len(told) == 1, trace
    (version,) = told
    passages = [passage for one in verdicts for passage in one["evidence"]]
    assert passages, trace
    if version in versions:
        texts = versions[version]
        assert all(texts.get(one["document"]) == one["text"] for one in passages), trace
    editions = {found for one in passages for found in EDITION.findall(one["text"])}
    assert len(editions) == 1, trace
    return str(version)


def _met(load: Load, version: str) -> bool:
    assert load.fault is None and load.statuses.count(200) == len(load.statuses)
    return any(
        step["verdict"]["details"].get("index") == version
        for trace in load.traces[-CLIENTS * 10 :]
        for step in trace["steps"]
    )


def _is_ready(load: Load) -> bool:
    try:
        with load.client() as client:
            return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < last, "it does not come to pass"
        time.sleep(0.05)
