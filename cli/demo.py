"""`make demo`: the shipped example from simulated history to answers of every rung."""

import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from core.json_source import parse_json, parse_json_lines

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "payments_support"
HISTORY = ROOT / ".rung" / "demo" / "history.jsonl"
ROWS = 2500  # two minutes on two cores, where three are promised
RUNGS = ("rules", "classical", "retrieval", "llm", "person")


def main() -> int:
    HISTORY.parent.mkdir(parents=True, exist_ok=True)
    example = str(EXAMPLE.relative_to(ROOT))
    history = str(HISTORY.relative_to(ROOT))
    _step(
        "1. Past requests with known outcomes, simulated",
        [f"{example}/simulate.py", "--rows", str(ROWS), "--seed", "1", "--out", history],
        program=sys.executable,
    )
    _step("2. What its owner wrote, held against itself", ["check", example])
    _step("3. A Celery worker embeds the help articles", ["embed", example, "--wait"])
    _step(
        "4. Every model is fitted, and judged on later rows", ["train", example, "--data", history]
    )
    _step(
        "5. Requests climb the ladder, each as far as it must",
        ["decide", example, "--facts", f"{example}/requests.jsonl"],
    )
    print("\n== 6. Who answered what")
    answered = _answered(example)
    for rung in RUNGS:
        print(f"   {rung:<10} {answered[rung]:3d}")
    missing = [rung for rung in RUNGS if not answered[rung]]
    if missing:
        print(f"no request was answered by: {', '.join(missing)}", file=sys.stderr)
        return 1
    _how_to_serve()
    return 0


def _step(title: str, words: list[str], *, program: str = "") -> None:
    print(f"\n== {title}", flush=True)
    command = [program, *words] if program else ["rung", *words]
    print(
        f"   $ {shlex.join(['python' if word == program else word for word in command])}",
        flush=True,
    )
    subprocess.run(_as_started(command), cwd=ROOT, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    """Its home is for trying out: an unpacked archive has no commit, and changes are tried here."""
    return {**os.environ, "RUNG_ALLOW_DIRTY": "1"}


def _as_started(command: list[str]) -> list[str]:
    """`rung` of this very installation, wherever it lies."""
    return [sys.executable, "-m", "cli", *command[1:]] if command[0] == "rung" else command


def _answered(example: str) -> Counter[str]:
    words = ["rung", "decide", example, "--facts", f"{example}/requests.jsonl", "--json"]
    told = subprocess.run(_as_started(words), cwd=ROOT, check=True, capture_output=True, text=True)
    decisions = [decision for _, decision in parse_json_lines(told.stdout)]
    return Counter(str(d["rung"]) for d in decisions if isinstance(d, dict))


def _how_to_serve() -> None:
    scopes = [word for scope in ("decide", "read", "feedback") for word in ("--scope", scope)]
    # The keys of earlier demos: only two of a name may be live.
    subprocess.run(_as_started(["rung", "key", "revoke", "demo"]), cwd=ROOT, capture_output=True)
    words = _as_started(["rung", "key", "create", *scopes, "--name", "demo", "--json"])
    told = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    key = parse_json(told.stdout)
    assert isinstance(key, dict)
    print(
        f"""
== Serve it
   $ .venv/bin/rung serve
   and in another terminal:
   $ curl -s http://127.0.0.1:8000/v1/decisions/payments_support \\
       -H 'Authorization: Bearer {key["key"]}' -H 'Content-Type: application/json' \\
       -d '{{"facts": {{"message": "My new card has not arrived yet, how long does it take?"}}}}'
   The key was made just now, for deciding, reading and feedback; `rung key list` shows it."""
    )


if __name__ == "__main__":
    sys.exit(main())
