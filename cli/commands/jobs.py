"""`rung jobs`: the work that waits, is done and was done, and the work that comes back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, tell

if TYPE_CHECKING:
    from core.jobs import Job, JobLedger

app = typer.Typer(no_args_is_help=True, help="Jobs: list, show, retry, cancel, watch; schedules.")

Id = Annotated[str, typer.Argument(help="A job's id, or as many of its digits as are unique.")]


@app.command("list")
def listed(
    state: Annotated[
        Literal["queued", "running", "done", "failed", "cancelled"] | None,
        typer.Option(help="In this state alone."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")] = 20,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """The newest first, and how many there are in each state."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.job_views import job_told, readable_counts, readable_job
        from core.jobs import JobLedger

        with open_home() as home:
            ledger, now = JobLedger(home.store), home.clock.now()
            found = ledger.jobs(tenant, state, limit, kind=kind)
            jobs, counts = [job_told(job, now) for job in found], ledger.counts(tenant)
    lines = [*map(readable_job, jobs), readable_counts(counts)]
    tell({"jobs": jobs, "counts": counts}, as_json, lambda: "\n".join(lines))


@app.command("show")
def show(job: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Everything that the ledger knows of one job."""
    _about(job, tenant, as_json, lambda ledger, found: found)


@app.command("retry")
def retry(job: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Queue a failed or cancelled job once more, with all its tries."""
    _about(job, tenant, as_json, lambda ledger, found: ledger.retry(tenant, found.id))


@app.command("cancel")
def cancel(job: Id, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Call a queued or running job off. Nothing of it takes effect."""
    from core.jobs.cancel import cancel_job

    _about(job, tenant, as_json, lambda ledger, found: cancel_job(ledger, tenant, found.id))


def _about(
    prefix: str, tenant: str, as_json: bool, change: "Callable[[JobLedger, Job], Job]"
) -> None:
    with errors_told(as_json):
        from cli.home import open_home
        from cli.job_views import job_told, readable_whole
        from core.jobs import JobLedger

        with open_home() as home:
            ledger = JobLedger(home.store)
            job = change(ledger, ledger.find(tenant, prefix))
            told = {**job_told(job, home.clock.now()), "payload": job.payload}
    tell(told, as_json, lambda: "\n".join(readable_whole(told)))


@app.command("watch")
def watch(tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Show the open jobs until none is left; exit code 1 where one failed meanwhile."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.job_views import readable_counts
        from cli.job_watch import watch_jobs
        from core.jobs import JobLedger

        with open_home() as home:
            ended = watch_jobs(JobLedger(home.store), tenant, home.clock)
    tell({"ended": ended}, as_json, lambda: f"meanwhile {readable_counts(ended)}")
    raise typer.Exit(1 if ended["failed"] else 0)


@app.command("schedules")
def schedules(tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """The work that comes back, and when it is due next."""
    with errors_told(as_json):
        from cli.home import open_home
        from cli.job_views import readable_schedule, schedule_told
        from core.jobs import Schedules

        with open_home() as home:
            told: dict[str, list[dict[str, Any]]] = {
                "schedules": [schedule_told(one) for one in Schedules(home.store).all(tenant)]
            }
    lines = map(readable_schedule, told["schedules"])
    tell(told, as_json, lambda: "\n".join(lines) or "no schedules")


@app.command("unschedule")
def unschedule(
    name: Annotated[str, typer.Argument(help="A name that `rung jobs schedules` shows.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Let work come back no more; a job that it has queued already stays."""
    with errors_told(as_json):
        from cli.home import open_home
        from core.jobs import Schedules

        with open_home() as home:
            Schedules(home.store).remove(tenant, name)
    tell({"removed": name}, as_json, lambda: f"removed: {name}")
