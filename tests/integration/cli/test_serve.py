"""`rung serve` as a process: what it logs."""

import re
import subprocess
from pathlib import Path

from core.clock import SystemClock
from core.settings import Settings
from core.store import Store
from tests.terminal import command, environment


def test_what_does_not_load_is_logged_with_its_time_and_part(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", RUNG_LOG_LEVEL="error")
    settings = Settings.from_environment({k: v for k, v in env.items() if k.startswith("RUNG_")})
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    store.register_release("default", "support", "f" * 64)  # its files are nowhere
    store.close()
    with subprocess.Popen(
        command("serve", "--port", 0, "--json"),
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        server.terminate()
        server.wait(30)
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d{4} ERROR rung\.live: the newest of ", line)
