"""`rung score`: a table of any size through the live release, now, by a worker or by a schedule."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, tell

if TYPE_CHECKING:
    from cli.home import Home
    from workers.score import ScoreOrder

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
TOLD_EVERY_S = 5.0


def score(
    spec: Annotated[str, typer.Argument(help="A trained decision's name or folder.")],
    table: Annotated[
        Path, typer.Option("--input", help="A table: CSV (also .gz), JSON Lines or Parquet.")
    ],
    output: Annotated[
        Path, typer.Option(help="The scores: .parquet, .csv or .jsonl, by its name.")
    ],
    store: Annotated[
        bool, typer.Option(help="Keep them for the API too, where decision.yaml has scores.")
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an output that is there.")
    ] = False,
    enqueue: Annotated[
        bool, typer.Option("--enqueue", help="Hand it to the workers instead.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(help="Let a worker do it again and again: 30m, 24h or 7d. Overwrites."),
    ] = None,
    named: Annotated[
        str | None, typer.Option("--as", help="The schedule's name; else score-DECISION.")
    ] = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Decide on every row of a table as the live release would, and write its scores."""
    with errors_told(as_json):
        from cli.commands.decide import name_of
        from cli.home import open_home
        from workers.score import ScoreOrder

        order = ScoreOrder(
            decision=name_of(spec), table=table.resolve(), output=output.resolve(), keep=store
        )
        interval = _interval(every)
        told: dict[str, Any] = {"run": None, "job": None, "schedule": None}
        with open_home() as home:
            if interval is not None:
                told["schedule"] = _scheduled(home, tenant, order, interval, named)
            elif enqueue:
                told["job"] = _enqueued(home, tenant, order, overwrite)
            else:
                told["run"] = _run(home, tenant, order, overwrite)
    tell(told, as_json, lambda: "\n".join(_readable(told)))
    run = told["run"]
    raise typer.Exit(1 if run and run["rows"] and not run["scored"] else 0)


def _interval(every: str | None) -> timedelta | None:
    from core.errors import InvalidRequest

    if every is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", every)
    if not found:
        raise InvalidRequest(
            "RUNG-SCHEDULE-INTERVAL",
            f"'{every[:20]}' is no time between two runs",
            way_out="Write minutes, hours or days, such as 30m, 24h or 7d.",
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _run(home: "Home", tenant: str, order: "ScoreOrder", overwrite: bool) -> dict[str, Any]:
    from router.batch_scoring import live_scorer
    from workers.score_table import Asked, score_table, summary

    scorer = live_scorer(home.store, home.artifacts, tenant, order.decision)
    asked = Asked(
        tenant_id=tenant,
        table=order.table,
        output=order.output,
        overwrite=overwrite,
        keep=order.keep,
        scored_at=home.clock.now(),
    )
    started = time.monotonic()
    counts = score_table(scorer, home.store, home.settings.secret, asked, _pace(started))
    seconds = time.monotonic() - started
    told = summary(counts, scorer, asked)
    return {**told, "seconds": round(seconds, 2), "rows_per_s": round(counts.rows / seconds)}


def _pace(started: float) -> Callable[[int, int, int], None]:
    """How many rows, how fast, and how long it will still take, every few seconds."""
    last = started

    def progress(rows: int, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < TOLD_EVERY_S or not done:
            return
        last = now
        left = (now - started) * (total - done) / done
        note(f"scored {rows:,} rows, {rows / (now - started):,.0f} a second, {left:.0f} s left")

    return progress


def _refuse_unready(home: "Home", tenant: str, order: "ScoreOrder", overwrite: bool) -> None:
    """What a worker would refuse later is told now."""
    from router.batch_scoring import live_scorer
    from workers.score_table import open_both

    live_scorer(home.store, home.artifacts, tenant, order.decision)
    open_both(order.table, order.output, overwrite=overwrite)


def _enqueued(home: "Home", tenant: str, order: "ScoreOrder", overwrite: bool) -> dict[str, Any]:
    from core.jobs import JobLedger
    from workers.score import enqueue_score

    _refuse_unready(home, tenant, order, overwrite)
    id = enqueue_score(home.store, tenant, order)
    job = JobLedger(home.store).job(tenant, id)
    assert job is not None  # it was enqueued above
    return {"id": job.id, "kind": job.kind, "state": job.state, **job.payload}


def _scheduled(
    home: "Home", tenant: str, order: "ScoreOrder", every: timedelta, named: str | None
) -> dict[str, Any]:
    from core.jobs import Schedules
    from workers.score import KIND

    _refuse_unready(home, tenant, order, overwrite=True)
    name = named or f"score-{order.decision}"
    made = Schedules(home.store).put(tenant, name, KIND, order.payload, every)
    return {
        "name": made.name,
        "kind": made.kind,
        "every_s": int(made.every.total_seconds()),
        "next_at": made.next_at.isoformat(),
        **order.payload,
    }


def _readable(told: dict[str, Any]) -> list[str]:
    if told["job"]:
        return [f"job {told['job']['id']} is {told['job']['state']}; a worker writes the scores"]
    if told["schedule"]:
        made = told["schedule"]
        return [
            f"schedule {made['name']}: every {made['every_s']:,} s, next at {made['next_at']}",
            "a worker writes the scores; `rung jobs schedules` lists what is due",
        ]
    run = told["run"]
    lines = [
        f"{run['decision']}, release {run['release'][:12]}: {run['scored']:,} of {run['rows']:,} "
        f"rows scored in {run['seconds']:.1f} s ({run['rows_per_s']:,} rows/s)",
        f"  {run['output']}",
    ]
    lines += [f"  {name:<24}{n:>12,}" for name, n in run["outcomes"].items()]
    lines += [f"  by {name:<21}{n:>12,}" for name, n in run["rungs"].items()]
    lines += [f"  rejected, {code:<14}{n:>12,}" for code, n in run["errors"].items()]
    if run["stored"]:
        lines.append(f"  kept for the API until {run['expires_at']}: {run['stored']:,} keys")
    if run["ignored"]:
        lines.append(f"  not read: {', '.join(run['ignored'])}")
    return lines
