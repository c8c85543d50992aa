"""The same rows and the same seed are the same release, byte for byte, wherever it is trained."""

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.conftest import THREADS, Training
from tests.schemas import faults
from tests.terminal import EXAMPLE, TEMPLATE, told

# Another order of sets, another day, another language, another number of cores.
ELSEWHERE = {
    "PYTHONHASHSEED": "4711",
    "TZ": "Pacific/Auckland",
    "LC_ALL": "C",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
SAID = {
    "wants_refund": ("refund", ["give me my money back", "I want a refund", "please pay it back"]),
    "complaint": ("escalate", ["this is unacceptable", "I am angry", "your service is terrible"]),
    "question": ("answer", ["when are you open", "how long is the office open", "your hours?"]),
}


def history(path: Path, rows: int) -> Path:
    """Past requests of the template's decision."""
    source = random.Random(1)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    with path.open("w") as file:
        for place in range(rows):
            intent = source.choice(list(SAID))
            truth, texts = SAID[intent]
            row = {
                "message": f"{source.choice(texts)} {source.choice(['now', 'today', 'soon'])}",
                "occurred_at": (start + timedelta(days=place)).isoformat(),
                "amount": source.choice([None, 12.5, 80]),
                "intent": intent,
                "truth": truth,
                "documents": ["opening_hours"] if truth == "answer" else [],
            }
            file.write(json.dumps(row) + "\n")
    return path


def test_what_init_makes_is_trained_to_the_same_release_anywhere(tmp_path: Path) -> None:
    folder = shutil.copytree(TEMPLATE, tmp_path / "mine")
    rows = history(tmp_path / "rows.jsonl", 150)
    here = told(tmp_path / "here" / "home", "train", folder, "--data", rows, env=THREADS)
    there = told(tmp_path / "there" / "home", "train", folder, "--data", rows, env=ELSEWHERE)
    assert faults("train", here) == []
    assert here == there


def test_the_example_is_trained_to_the_same_release_anywhere(
    training: Training, tmp_path: Path
) -> None:
    """In another home the corpora are embedded by train itself, not by a worker."""
    words = ["train", EXAMPLE, "--data", training.history]
    assert told(tmp_path / "home", *words, env=ELSEWHERE) == training.trained
