"""An index builder that needs no model, and a worker process that uses it."""

import os
import time
from datetime import timedelta
from pathlib import Path

from core.settings import Settings
from workers.run import run_worker


class FakeIndexBuilder:
    """Names the index after the documents; sleeps for `seconds`, and notes each call in `log`."""

    def __init__(self, log: Path, seconds: float = 0.0) -> None:
        self.log = log
        self.seconds = seconds

    def build(self, *, tenant_id: str, documents: str) -> str:
        with self.log.open("a") as file:
            file.write(f"{documents}\n")
        time.sleep(self.seconds)
        return f"index of {documents}"

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


if __name__ == "__main__":
    builder = FakeIndexBuilder(
        Path(os.environ["FAKE_LOG"]), float(os.environ.get("FAKE_SECONDS", "0"))
    )
    run_worker(Settings.from_environment(os.environ), builder, lease=timedelta(seconds=2))
