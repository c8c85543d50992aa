"""Jobs as `rung jobs` tells them: for machines, and for people with bars and times in words."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.jobs import Job, Schedule

SHORT = 12  # digits of an id that a person compares
BAR = 20
MINUTE, HOUR, DAY = 60, 3600, 86_400


def job_told(job: Job, now: datetime) -> dict[str, Any]:
    left = job.left(now)
    return {
        "id": job.id,
        "kind": job.kind,
        "needs": job.needs,
        "state": job.state,
        "priority": job.priority,
        "progress": job.progress,
        "total": job.total,
        "seconds_left": None if left is None else round(left.total_seconds(), 1),
        "tries": job.tries,
        "max_tries": job.max_tries,
        "reason": job.reason,
        "result": job.result,
        "created_at": job.created_at.isoformat(),
        "due_at": job.due_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
    }


def schedule_told(schedule: Schedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "kind": schedule.kind,
        "payload": schedule.payload,
        "every_seconds": round(schedule.every.total_seconds()),
        "next_at": schedule.next_at.isoformat(),
    }


def readable_job(told: Mapping[str, Any]) -> str:
    parts = [told["id"][:SHORT], f"{told['state']:<9}", told["kind"]]
    if told["state"] == "running":
        parts.append(progress_in_words(told))
    elif told["reason"]:
        parts.append(f"({told['reason']})")
    elif told["state"] == "queued" and told["needs"]:
        parts.append(f"(for a worker that embeds by {told['needs']})")
    return "  ".join(part for part in parts if part)


def readable_whole(told: Mapping[str, Any]) -> Iterator[str]:
    yield readable_job(told)
    yield f"  {'id':<12} {told['id']}"
    yield f"  {'tries':<12} {told['tries']} of {told['max_tries']}"
    yield f"  {'priority':<12} {told['priority']}"
    for name in ("needs", "created_at", "due_at", "started_at", "finished_at", "reason"):
        yield f"  {name:<12} {'-' if told[name] is None else told[name]}"
    for name in ("payload", "result"):
        content = told[name] or {}
        yield f"  {name:<12} {'' if content else '-'}".rstrip()
        for key, value in sorted(content.items()):
            yield f"    {key:<18} {value}"


def readable_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {state}" for state, n in counts.items())


def readable_schedule(told: Mapping[str, Any]) -> str:
    every = in_words(told["every_seconds"])
    return f"{told['name']}  {told['kind']}  every {every}, next at {told['next_at']}"


def progress_in_words(told: Mapping[str, Any]) -> str:
    """A bar where the total is known, and how long it will still take where that can be said."""
    done, total = told["progress"], told["total"]
    if not total:
        return f"{done:,} done" if done else "begun"
    full = min(BAR, BAR * done // total)
    bar = f"[{'#' * full}{'-' * (BAR - full)}] {done:,} of {total:,}"
    left = told["seconds_left"]
    return bar if left is None else f"{bar}, about {in_words(left)} left"


def in_words(seconds: float) -> str:
    """To the unit that a person would say: 95 s are "2 minutes", 90,000 s "25 hours"."""
    for limit, unit, name in ((2 * HOUR, MINUTE, "minute"), (2 * DAY, HOUR, "hour")):
        if unit * 1.5 <= seconds < limit:
            return _plural(round(seconds / unit), name)
    if seconds < 1.5 * MINUTE:
        return _plural(max(1, round(seconds)), "second")
    return _plural(round(timedelta(seconds=seconds) / timedelta(days=1)), "day")


def _plural(n: int, unit: str) -> str:
    return f"{n} {unit}" if n == 1 else f"{n} {unit}s"
