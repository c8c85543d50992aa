"""Instructions come from a decision's folder, one by one, and their version is their text."""

from pathlib import Path

import pytest

from core.contracts import Passage
from core.errors import InvalidDocument
from llm.answer import answer_task
from llm.classify import classify_task
from llm.extract import extract_task
from llm.prompting import MAX_BYTES, TASKS, Prompts

EXAMPLE = Path(__file__).parents[3] / "examples/payments_support/prompts"
PASSAGE = Passage(document="a", title="A", text="Text.", score=1.0)


def test_the_example_has_prompts_of_its_own_for_every_task() -> None:
    assert sorted(path.stem for path in EXAMPLE.glob("*.md")) == sorted(TASKS)
    own, default = Prompts.load(EXAMPLE), Prompts.load()
    assert all(getattr(own, task) != getattr(default, task) for task in TASKS)


def test_an_absent_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "answer.md").write_text("Answer in rhyme.\n")
    prompts = Prompts.load(tmp_path)
    assert prompts.answer == "Answer in rhyme."
    assert prompts.extract == Prompts.load().extract
    assert Prompts.load(tmp_path / "none") == Prompts.load()


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"a\0b", b"x" * (MAX_BYTES + 1)])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "classify.md").write_bytes(content)
    with pytest.raises(InvalidDocument) as caught:
        Prompts.load(tmp_path)
    assert caught.value.code == "RUNG-PROMPT-READ" and "classify.md" in str(caught.value)


def test_the_version_follows_the_instructions_and_not_the_data() -> None:
    def versions(instructions: str, data: str) -> list[str]:
        common = {"instructions": instructions, "max_bytes": 10_000}
        return [
            answer_task(data, [PASSAGE], **common).prompt,  # type: ignore[arg-type]
            classify_task(data, {"a": "A"}, **common).prompt,  # type: ignore[arg-type]
            extract_task(data, {"type": "object"}, **common).prompt,  # type: ignore[arg-type]
        ]

    assert versions("Be brief.", "one") == versions("Be brief.", "two")
    for one, two in zip(versions("Be brief.", "x"), versions("Be long.", "x"), strict=True):
        assert one != two and one.split("@")[0] == two.split("@")[0]
