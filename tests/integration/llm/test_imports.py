"""litellm is loaded by the first call to a model, by nothing else, and reaches only loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("core", "rules", "rankers", "llm", "router", "lab", "api", "workers", "cli")

IMPORT_ROOM = """
import importlib, json, pkgutil, sys
sockets = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and sockets.append(event))
room = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
    if not found.name.endswith("__main__") and "migrations" not in found.name:
        importlib.import_module(found.name)
loaded = [name for name in sys.modules if name.split(".")[0] == "litellm"]
print(json.dumps({"litellm": loaded[:3], "sockets": sockets}))
"""

CALL = """
import asyncio, json, os, sys
reached, looked_up = [], []

def watch(event, arguments):
    if event == "socket.connect":
        reached.append(str(arguments[1][0] if isinstance(arguments[1], tuple) else arguments[1]))
    elif event == "socket.getaddrinfo":
        looked_up.append(str(arguments[0]))

sys.addaudithook(watch)
from tests.fakes.fake_llm import GOOD, REFUNDS, WHOSE, config_for
from tests.fakes.budget import MemoryBudget
from tests.fakes.clock import FixedClock
from tests.fakes.openai_server import Answers, Fails, OpenAIServer
from llm import open_door

before = "litellm" in sys.modules

async def main(server):
    door = open_door(config_for(server), budget=MemoryBudget(), clock=FixedClock())
    built = "litellm" in sys.modules
    results = [
        await door.answer("How long?", [REFUNDS], **WHOSE, deadline_s=120) for _ in range(3)
    ]
    await door.aclose()
    return built, [result.reason for result in results]

with OpenAIServer(Answers(text=GOOD), Fails(status=500), Answers(text=GOOD)) as server:
    built, reasons = asyncio.run(main(server))
print(json.dumps({
    "before": before, "built": built, "after": "litellm" in sys.modules,
    "reasons": reasons, "reached": reached, "looked_up": looked_up,
    "key": os.environ.get("OPENAI_API_KEY"),
}))
"""


def run(code: str, *arguments: str, cwd: Path = ROOT) -> dict[str, object]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={key: value for key, value in os.environ.items() if key != "OPENAI_API_KEY"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_loads_no_litellm_and_opens_no_socket(room: str) -> None:
    told = run(IMPORT_ROOM, room)
    assert told["litellm"] == [] and told["sockets"] == []


def test_the_first_call_loads_it_and_only_loopback_is_reached(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-of-the-folder\n")
    told = run(CALL, cwd=tmp_path)
    assert told["key"] is None  # litellm left alone reads the folder's .env
    assert (told["before"], told["built"], told["after"]) == (False, False, True)
    assert told["reasons"] == [None, "llm_failing", None]
    assert told["reached"] and set(told["reached"]) == {"127.0.0.1"}  # type: ignore[call-overload]
    assert set(told["looked_up"]) <= {"127.0.0.1"}  # type: ignore[call-overload]
