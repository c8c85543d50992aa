"""Kombu's filesystem transport, of which no message can be read half-written.

The stock one writes a message under its final name, so that a worker may read it in between, and
what is no JSON ends the worker.
"""

import os
import tempfile
import time
import uuid
from json import dumps, loads
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.transport.virtual import BrokerState

LONGEST_DRAIN_S = 0.5


class Channel(filesystem.Channel):
    def _put(self, queue: Any, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".")
        with os.fdopen(handle, "w") as file:
            file.write(dumps(payload))
        os.replace(name, _next_name(folder, queue))

    def _get(self, queue: Any, timeout: Any = None) -> Any:
        try:
            names = sorted(os.listdir(self.data_folder_in))
        except OSError as error:  # its disk is away: no reason for a worker to end
            raise Empty from error
        for name in names:
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            path = Path(self.data_folder_in) / name
            taken = path.with_name(f".{name}.taken")
            try:
                os.rename(path, taken)  # of several workers one succeeds
                text = taken.read_text("utf-8")
                taken.unlink()
                return loads(text)
            except (OSError, ValueError):
                continue  # taken by another, or no message: its job is rescued
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel
    global_state = BrokerState()  # type: ignore[no-untyped-call]  # of kombu

    def drain_events(self, connection: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Celery looks whether it shall stop between two of these, and asks for two seconds."""
        shorter = min(timeout or LONGEST_DRAIN_S, LONGEST_DRAIN_S)
        return super().drain_events(connection, timeout=shorter)  # type: ignore[no-untyped-call]


def _next_name(folder: Path, queue: str) -> Path:
    """Sorted by name, messages are in the order in which they were sent, by the clock."""
    return folder / f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
