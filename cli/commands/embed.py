"""`rung embed` and `rung worker`: corpora are embedded by Celery workers over the job ledger."""

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decision_folder import DecisionFolder
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, progress_told, tell

if TYPE_CHECKING:
    from cli.home import Home
    from core.embedding import TextEmbedder
    from core.jobs.corpus_jobs import Synced
    from core.store.documents import CorpusName
    from rankers.documents import RefusedFile

TOLD_EVERY_S = 5.0  # where standard error is no terminal


@dataclass(frozen=True, kw_only=True)
class _SyncedFolder:
    changed: "Synced"
    refused: "Sequence[RefusedFile]"  # none of the documents; the rest is not held up by them


def embed(
    spec: Annotated[Path, typer.Argument(help="A decision's folder.")],
    wait: Annotated[bool, typer.Option(help="Run a worker here until all is embedded.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Hand every corpus of a decision to the workers."""
    with errors_told(as_json):
        from cli.home import open_home

        folder = DecisionFolder.read(spec)
        with open_home() as home:
            synced, embedder = _sync(home, tenant, folder)
            if wait:
                _work(home, tenant, embedder)
            told = _told(home, tenant, folder, synced)
    tell(told, as_json, lambda: "\n".join(_readable(corpus) for corpus in told["corpora"]))
    raise typer.Exit(1 if any(corpus["failed"] for corpus in told["corpora"]) else 0)


def worker(as_json: AsJson = False) -> None:
    """Work on the job ledger until stopped."""
    with errors_told(as_json):
        import os

        from core.settings import Settings
        from workers.run import run_worker

        run_worker(Settings.from_environment(os.environ))


def _sync(
    home: "Home", tenant: str, folder: DecisionFolder
) -> "tuple[dict[str, _SyncedFolder], TextEmbedder | None]":
    """What changed by corpus, and the embedder where one had to be loaded to know what it lacks."""
    from cli.corpora import readable_documents_of
    from cli.home import embedder_of
    from core.jobs.corpus_jobs import requeue_lost, sync_folder
    from core.store.documents import CorpusName
    from workers.catch_up import catch_up

    every = {corpus: readable_documents_of(folder, corpus) for corpus in folder.spec.corpora}
    synced = {}
    embedder = None
    for corpus, (documents, refused) in every.items():
        which = CorpusName(tenant_id=tenant, decision=folder.spec.name, corpus=corpus)
        unread = frozenset(one.document for one in refused)
        changed = sync_folder(home.store, which, documents, unread=unread)
        requeue_lost(home.store, which)
        if _some_are_ready(home, which):
            embedder = embedder or embedder_of(home.settings)
            catch_up(home.store, home.artifacts, which, embedder.fingerprint)
        synced[corpus] = _SyncedFolder(changed=changed, refused=refused)
    return synced, embedder


def _some_are_ready(home: "Home", which: "CorpusName") -> bool:
    state = home.store.corpus_state(which.tenant_id, which.decision, which.corpus)
    return state.documents["ready"] > 0


def _work(home: "Home", tenant: str, embedder: "TextEmbedder | None") -> None:
    from workers.run import run_until_idle
    from workers.works import every_work, works_with

    works = every_work
    if embedder is not None:
        loaded = embedder
        works = lambda settings, store: works_with(  # noqa: E731
            settings, store, lambda: loaded, lambda: loaded.fingerprint
        )
    note("a worker embeds the corpora ...")
    with progress_told() as progress:
        look = _watch(home, tenant, progress)
        run_until_idle(home.settings, works, timeout_s=math.inf, look=look)


def _watch(
    home: "Home", tenant: str, progress: Callable[[str, int, int], None]
) -> Callable[[], None]:
    """Tells how many of the jobs are over, and when the rest will be at the pace so far."""
    from core.jobs import JobLedger

    ledger = JobLedger(home.store)
    started = told_at = time.monotonic()
    before = _over(ledger.counts(tenant))

    def look() -> None:
        nonlocal told_at
        counts = ledger.counts(tenant)
        done = _over(counts) - before
        total = done + counts["queued"] + counts["running"]
        progress("jobs", done, total)
        now = time.monotonic()
        if done and not sys.stderr.isatty() and now - told_at >= TOLD_EVERY_S:
            left = (now - started) / done * (total - done)
            note(f"{done} of {total} jobs done, some {left:.0f} s left")
            told_at = now

    return look


def _over(counts: Mapping[Any, int]) -> int:
    return sum(counts[state] for state in ("done", "failed", "cancelled"))


def _told(
    home: "Home", tenant: str, folder: DecisionFolder, synced: "Mapping[str, _SyncedFolder]"
) -> dict[str, Any]:
    from core.jobs import JobLedger

    decision = folder.spec.name
    corpora = []
    for corpus, one in synced.items():
        state = home.store.corpus_state(tenant, decision, corpus)
        failed = home.store.failed_documents(tenant, decision, corpus)
        corpora.append(
            {
                "corpus": corpus,
                "accepted": one.changed.accepted,
                "unchanged": one.changed.unchanged,
                "removed": one.changed.removed,
                "revision": state.revision,
                "documents": dict(state.documents),
                "indexes": [
                    {
                        "artifact": row.artifact_id,
                        "fingerprint": row.fingerprint,
                        "revision": row.revision,
                        "registered_at": row.registered_at.isoformat(),
                        "report": dict(row.report),
                    }
                    for row in home.store.indexes_of(tenant, decision, corpus)
                ],
                "failed": [
                    *(_refusal(folder, file) for file in one.refused),
                    *({"document": row.id, "reason": row.reason} for row in failed),
                ],
            }
        )
    counts = JobLedger(home.store).counts(tenant)
    open_jobs = counts["queued"] + counts["running"]
    return {"decision": decision, "corpora": corpora, "open_jobs": open_jobs}


def _refusal(folder: DecisionFolder, refused: "RefusedFile") -> dict[str, Any]:
    return {
        "document": refused.document,
        "reason": str(refused.error),
        "file": refused.path.relative_to(folder.folder).as_posix(),
        "code": refused.error.code,
        "message": refused.error.message,
    }


def _readable(corpus: dict[str, Any]) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in corpus["documents"].items() if n)
    index = f"index of revision {corpus['indexes'][0]['revision']}" if corpus["indexes"] else ""
    lines = [f"corpus {corpus['corpus']}: {counts}; {index or 'no index yet'}"]
    lines += [f"  {one['document']}: {one['reason']}" for one in corpus["failed"]]
    return "\n".join(lines)
