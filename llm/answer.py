"""The task `answer`: a text that rests on the given passages and cites their documents."""

import re
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from core.contracts import Answer, Passage
from llm.guard import RULE_FOR_DATA, cleaned, element, restored
from llm.prompting import version
from llm.task import Task, Turned, read_object

_FORM = (
    RULE_FOR_DATA.format(elements="<question> and <passage>")
    + """
Reply with one JSON object and nothing around it:
{"answer": "the text", "citations": ["id of each passage used"]}
To decline: {"answer": null, "citations": []}"""
)

_LINK = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # an e-mail address
    r"|(?:https?://|www\.)[^\s<>\"')\]]+"
    r"|\b(?:[\w-]+\.)+[a-z]{2,24}\b(?:/[^\s<>\"')\]]*)?"  # a bare domain
)
_LONG_NUMBER = re.compile(r"\+?\d(?:[ ().-]?\d){6,}")  # telephones, accounts


class _Reply(BaseModel):
    model_config = ConfigDict(strict=True)
    answer: str | None
    citations: list[str] = []


def answer_task(
    question: str, passages: Sequence[Passage], *, instructions: str, max_bytes: int
) -> Task[Answer]:
    """Passages that do not fit `max_bytes` are left out from the end, whole.

    Raises Turned where not even the first fits.
    """
    system = f"{instructions}\n\n{_FORM}"
    asked = element("question", question)
    kept: list[Passage] = []
    room = max_bytes - len((system + asked).encode())
    user = asked
    for passage in passages:
        part = "\n" + element("passage", passage.text, id=passage.document, title=passage.title)
        room -= len(part.encode())
        if room < 0:
            break
        kept.append(passage)
        user += part
    if not kept:
        raise Turned("llm_too_long")
    return Task(
        prompt=version("answer", system),
        system=system,
        user=user,
        read=lambda reply: _read(reply, question, kept),
    )


def _read(reply: str, question: str, passages: Sequence[Passage]) -> Answer:
    try:
        said = _Reply.model_validate(read_object(reply))
    except ValidationError:
        raise Turned("llm_invalid_output") from None
    if said.answer is None:
        raise Turned("llm_declined")
    text = cleaned(restored(said.answer)).strip()
    if not text:
        raise Turned("llm_invalid_output")
    citations = tuple(dict.fromkeys(restored(cited) for cited in said.citations))
    sources = [passage for passage in passages if passage.document in citations]
    if not citations or {passage.document for passage in sources} != set(citations):
        raise Turned("llm_ungrounded")
    if not _supported(text, question, sources):
        raise Turned("llm_ungrounded")
    return Answer(text=text, citations=citations, made_by="llm")


def _supported(text: str, question: str, sources: Iterable[Passage]) -> bool:
    """Whether each link is in a cited passage and each long number there or in the question.

    An answer that a hostile text or a model's fancy sends elsewhere can do harm by these alone.
    """
    cited = "\n".join(f"{source.title}\n{source.text}" for source in sources).casefold()
    links = (link.rstrip(".,;:!?").casefold() for link in _LINK.findall(text))
    numbers = {_digits(number) for number in _LONG_NUMBER.findall(f"{cited}\n{question}")}
    return all(link in cited for link in links) and all(
        _digits(number) in numbers for number in _LONG_NUMBER.findall(text)
    )


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
