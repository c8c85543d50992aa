"""What clients sent and were answered, in a file of their own that outlives every process."""

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Told:
    """By idempotency key. What was sent and not acknowledged may have happened or not."""

    sent: dict[str, Any] = field(default_factory=dict)
    acknowledged: dict[str, Any] = field(default_factory=dict)


class OutsideLedger:
    """Each line is on the disk before the call returns, so that a note never lags behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def sent(self, key: str, body: Any) -> None:
        self._write({"sent": key, "content": body})

    def acknowledged(self, key: str, answer: Any) -> None:
        self._write({"acknowledged": key, "content": answer})

    def close(self) -> None:
        self._file.close()

    def read(self) -> Told:
        """Raises AssertionError where one key was acknowledged with two answers."""
        told = Told()
        for line in self._path.read_text("utf-8").splitlines():
            note = json.loads(line)
            if "sent" in note:
                told.sent[note["sent"]] = note["content"]
                continue
            first = told.acknowledged.setdefault(note["acknowledged"], note["content"])
            assert first == note["content"], f"two answers to {note['acknowledged']}"
        return told

    def _write(self, note: dict[str, Any]) -> None:
        line = json.dumps(note)
        with self._lock:
            self._file.write(f"{line}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
