"""The job that scores a table: once when it is asked for, or again and again by a schedule."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Connection

from core.artifacts import ArtifactStore
from core.contracts import Json
from core.jobs import Job, JobLedger
from core.store import Store
from workers.runner import Done, Report

KIND = "score_table"


@dataclass(frozen=True, kw_only=True)
class ScoreOrder:
    """Which table of which decision is scored to where, all paths as the workers see them."""

    decision: str
    table: Path
    output: Path
    keep: bool  # in the store too

    @property
    def payload(self) -> dict[str, Json]:
        return {
            "decision": self.decision,
            "table": str(self.table),
            "output": str(self.output),
            "keep": self.keep,
        }


def enqueue_score(store: Store, tenant_id: str, order: ScoreOrder) -> str:
    """The job's id; that of the open job where the same is asked for already."""
    content = hashlib.sha256(json.dumps(order.payload, sort_keys=True).encode()).hexdigest()
    return JobLedger(store).enqueue(tenant_id, KIND, order.payload, content)


class ScoreTable:
    """Run again, it writes the same: rows count as scored when the job was asked for.

    The release is the one that is live when it runs. What the output held before is replaced.
    """

    kind = KIND

    def __init__(self, store: Store, artifacts: ArtifactStore, secret: SecretStr) -> None:
        self._store = store
        self._artifacts = artifacts
        self._secret = secret

    def run(self, job: Job, report: Report) -> Done:
        """Progress is in rows of a Parquet table, in bytes read of any other."""
        from router.batch_scoring import live_scorer  # LightGBM, at the first job and not before
        from workers.score_table import Asked, score_table, summary

        told = job.payload
        scorer = live_scorer(self._store, self._artifacts, job.tenant_id, str(told["decision"]))
        asked = Asked(
            tenant_id=job.tenant_id,
            table=Path(str(told["table"])),
            output=Path(str(told["output"])),
            overwrite=True,
            keep=bool(told["keep"]),
            scored_at=job.created_at,
        )
        counts = score_table(
            scorer, self._store, self._secret, asked, lambda rows, done, total: report(done, total)
        )
        return Done(result=summary(counts, scorer, asked))

    def failed(self, job: Job, reason: str) -> Callable[[Connection], None] | None:
        return None
