"""A kind of job that only notes that it was done, and a worker process that does it."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from core.jobs import Job, JobLedger
from core.settings import Settings
from workers.beside import end_with_parent
from workers.run import run_worker
from workers.runner import Done, Report, Work
from workers.works import Works, Workshop

KIND = "note"


class NotingWork:
    """Writes the payload's word into `log`; takes `seconds`, and raises `error` if there is one."""

    kind = KIND

    def __init__(self, log: Path, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.log = log
        self.seconds = seconds
        self.error = error

    def run(self, job: Job, report: Report) -> Done:
        with self.log.open("a") as file:
            file.write(f"{job.payload['word']}\n")
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Done(result={"word": job.payload["word"]})

    def failed(self, job: Job, reason: str) -> None:
        return None

    @property
    def noted(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


def only(work: Work) -> Works:
    return lambda settings, store: Workshop(works=[work])


def enqueue_note(ledger: JobLedger, word: str) -> str:
    return ledger.enqueue("acme", KIND, {"word": word}, word)


if __name__ == "__main__":
    end_with_parent(sys.argv[1:])
    noting = NotingWork(Path(os.environ["FAKE_LOG"]), float(os.environ.get("FAKE_SECONDS", "0")))
    run_worker(Settings.from_environment(os.environ), only(noting), lease=timedelta(seconds=2))
