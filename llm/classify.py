"""The task `classify`: one of the admitted outcomes, and never anything else."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from llm.guard import RULE_FOR_DATA, element
from llm.prompting import version
from llm.task import Task, Turned, read_object

_FORM = (
    RULE_FOR_DATA.format(elements="<text>")
    + """
Reply with one JSON object and nothing around it: {"outcome": "a name from the list"}
To decline: {"outcome": null}"""
)


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)
    outcome: str | None


def classify_task(
    text: str, outcomes: Mapping[str, str], *, instructions: str, max_bytes: int
) -> Task[str]:
    """Raises Turned where the text does not fit `max_bytes`."""
    listed = "\n".join(f"- {name}: {meaning}" for name, meaning in sorted(outcomes.items()))
    system = f"{instructions}\n\n{_FORM}\n\nOutcomes:\n{listed}"
    task = Task(
        prompt=version("classify", system),
        system=system,
        user=element("text", text),
        read=lambda reply: _read(reply, frozenset(outcomes)),
    )
    if task.size > max_bytes:
        raise Turned("llm_too_long")
    return task


def _read(reply: str, admitted: frozenset[str]) -> str:
    try:
        outcome = _Reply.model_validate(read_object(reply)).outcome
    except ValidationError:
        raise Turned("llm_invalid_output") from None
    if outcome is None:
        raise Turned("llm_declined")
    if outcome not in admitted:
        raise Turned("llm_invalid_output")
    return outcome
