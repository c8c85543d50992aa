"""`rung embed` and `rung worker`: indexes are built by Celery workers over the job ledger."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decision_folder import DecisionFolder
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, tell

if TYPE_CHECKING:
    from core.jobs import Job


def embed(
    spec: Annotated[Path, typer.Argument(help="A decision's folder.")],
    wait: Annotated[bool, typer.Option(help="Run a worker here until all is embedded.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Hand every corpus of a decision to the workers."""
    with errors_told(as_json):
        from cli.home import open_home
        from core.jobs import JobLedger
        from rankers.corpora import put_documents
        from workers.embed import enqueue_embed

        folder = DecisionFolder.read(spec)
        jobs = {}
        with open_home() as home:
            for corpus in folder.spec.corpora:
                documents = put_documents(home.artifacts, tenant, folder.documents(corpus))
                jobs[corpus] = enqueue_embed(
                    home.store, tenant, folder.spec.name, corpus, documents
                )
            if wait:
                from workers.run import run_until_idle

                note("a worker embeds the corpora ...")
                run_until_idle(home.settings)
            ledger = JobLedger(home.store)
            told: dict[str, Any] = {
                "decision": folder.spec.name,
                "jobs": [_told(ledger.job(tenant, job), corpus) for corpus, job in jobs.items()],
            }
    tell(told, as_json, lambda: "\n".join(_readable(job) for job in told["jobs"]))
    raise typer.Exit(1 if any(job["state"] == "failed" for job in told["jobs"]) else 0)


def _told(job: "Job | None", corpus: str) -> dict[str, Any]:
    assert job is not None  # it was enqueued above
    return {"corpus": corpus, "id": job.id, "state": job.state, "reason": job.reason}


def _readable(job: dict[str, Any]) -> str:
    why = f", {job['reason']}" if job["reason"] else ""
    return f"corpus {job['corpus']}: {job['state']}{why} (job {job['id']})"


def worker(as_json: AsJson = False) -> None:
    """Work on the job ledger until stopped."""
    with errors_told(as_json):
        import os

        from core.settings import Settings
        from workers.run import run_worker

        run_worker(Settings.from_environment(os.environ))
