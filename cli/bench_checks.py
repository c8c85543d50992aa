"""Time and memory of all checks of a decision on a snapshot, in a process of its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lab.snapshots import Snapshot

Progress = Callable[[str, int, int], None]


def bench_checks(spec: Path, snapshot: "Snapshot", progress: Progress) -> dict[str, Any]:
    """Seconds in all and by check, and peak megabytes.

    The snapshot is compared with itself, so that no check is left out for want of another one.
    """
    progress("checks", 0, 1)
    paths = [str(path.resolve()) for path in (spec, snapshot.folder)]
    command = [sys.executable, "-m", "cli.bench_checks", *paths]
    root = Path(__file__).parents[1]
    ended = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    progress("checks", 1, 1)
    return found


def _run(spec_folder: Path, stored: Path) -> dict[str, Any]:
    from core.clock import SystemClock
    from core.spec import load_spec
    from lab.checks import CHECKS
    from lab.checks.subject import Rows, Subject
    from lab.snapshots import SnapshotStore

    spec = load_spec(spec_folder)
    tenant = stored.parent
    snapshot = SnapshotStore(tenant.parent, SystemClock()).get(tenant.name, stored.name)
    started = time.perf_counter()
    subject = Subject(rows=Rows(spec, snapshot), earlier=Rows(spec, snapshot))
    by_check = {}
    for check in CHECKS:
        before = time.perf_counter()
        check.run(subject)
        by_check[check.code] = round(time.perf_counter() - before, 3)
    seconds = time.perf_counter() - started
    return {
        "decision": spec.name,
        "rows": snapshot.rows,
        "columns": len(snapshot.manifest.columns),
        "seconds": round(seconds, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "by_check": by_check,
    }


if __name__ == "__main__":
    print(json.dumps(_run(Path(sys.argv[1]), Path(sys.argv[2]))))
