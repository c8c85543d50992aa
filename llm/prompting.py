"""Instructions are markdown files; the version of one is the digest of what the model reads."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from core.errors import InvalidDocument

TASKS = ("answer", "extract", "classify")
DEFAULTS = Path(__file__).parent / "prompts"
MAX_BYTES = 20_000  # instructions are paid for with every call


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """The instructions of each task. A release pins them as texts, not as paths."""

    answer: str
    extract: str
    classify: str

    @classmethod
    def load(cls, folder: Path | None = None) -> "Prompts":
        """`answer.md`, `extract.md` and `classify.md` of a decision's `prompts/`; the one that is
        absent there is Rung's own. Raises InvalidDocument."""
        return cls(**{task: _read(task, folder) for task in TASKS})


def version(task: str, instructions: str) -> str:
    """`answer@` and 12 hexadecimal digits of the SHA-256 of all that is fixed in the prompt."""
    return f"{task}@{hashlib.sha256(instructions.encode()).hexdigest()[:12]}"


def _read(task: str, folder: Path | None) -> str:
    path = folder / f"{task}.md" if folder else DEFAULTS / f"{task}.md"
    if not path.exists():
        path = DEFAULTS / f"{task}.md"
    try:
        text = path.read_bytes().decode("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text or len(text.encode()) > MAX_BYTES or "\0" in text:
        raise InvalidDocument(
            "RUNG-PROMPT-READ",
            f"{path.name} is no UTF-8 text of 1 to {MAX_BYTES:,} bytes",
            way_out="Write the instructions as markdown, or remove the file to use Rung's own.",
        )
    return text
