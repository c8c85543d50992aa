"""Reads a YAML document written by a person, so that an error can name its line."""

import json
import re
from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from core.errors import InvalidDocument

MAX_BYTES = 1_000_000  # a decision folder's largest hand-written file is far below this
_QUOTED = re.compile(r"'([^']+)'")
_PLAIN = {
    "extra_forbidden": "there is no such key here",
    "missing": "is missing",
    "finite_number": "must be a finite number",
}
MAX_DEPTH = 32  # deeper nesting is an attack or a mistake; the loader below recurses


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain word", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refuse_hostile(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidDocument(
            "RUNG-YAML-SIZE",
            f"the document is larger than {MAX_BYTES} bytes",
            way_out="Split it.",
        )
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.AliasEvent):
            raise InvalidDocument(
                "RUNG-YAML-ALIAS",
                "aliases are not allowed",
                way_out="Write the value out.",
                line=line,
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise InvalidDocument(
                "RUNG-YAML-DEPTH",
                f"nested deeper than {MAX_DEPTH}",
                way_out="Flatten the document.",
                line=line,
            )


def _line_of(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int | None:
    """The line of the deepest node that the pydantic location `loc` reaches."""
    line = node.start_mark.line + 1 if node else None
    for part in loc:
        following: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, following = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            following = node.value[part] if part < len(node.value) else None
            line = following.start_mark.line + 1 if following else line
        else:
            break
        node = following or node  # a part that names a union's member reaches no node
    return line


def _line_named(node: yaml.Node | None, message: str) -> int | None:
    """The line of the name that a message about several places quotes, where it stands once."""
    keys: dict[str, list[int]] = {}
    values: dict[str, list[int]] = {}
    waiting = [node] if node else []
    while waiting:
        here = waiting.pop()
        if isinstance(here, yaml.MappingNode):
            for key, value in here.value:
                keys.setdefault(key.value, []).append(key.start_mark.line + 1)
                waiting.append(value)
        elif isinstance(here, yaml.SequenceNode):
            waiting.extend(here.value)
        elif isinstance(here, yaml.ScalarNode):
            values.setdefault(here.value, []).append(here.start_mark.line + 1)
    for name in reversed(_QUOTED.findall(message)):
        for found in (keys, values):
            if len(found.get(name, [])) == 1:
                return found[name][0]
    return None


T = TypeVar("T", bound=BaseModel)


def parse_document(
    text: str, model: type[T], page: str = "docs/reference/rules.md", *, strict: bool = False
) -> T:
    """Reads `text` as `model`; `page` documents it. `strict`: no value changes its type.

    Raises InvalidDocument with the line and what is wrong there, for anything that is not
    well-formed YAML of that model.
    """
    try:
        _refuse_hostile(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.load(text, Loader=_Loader)  # _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InvalidDocument(
            "RUNG-YAML-SYNTAX",
            error.problem or "not well-formed YAML",
            way_out="Correct the line.",
            line=mark.line + 1 if mark else None,
        ) from error
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise InvalidDocument(
            "RUNG-YAML-SYNTAX",
            "the text holds characters or values that YAML does not admit",
            way_out="Save it as plain UTF-8 and write dates and numbers in a valid form.",
        ) from error
    try:
        if strict:
            # By way of JSON, where a list may stand for a tuple; a date is told as its text.
            return model.model_validate_json(json.dumps(data, default=str), strict=True)
        return model.model_validate(data)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A misspelt key is also a missing one; what is there tells more than what is not.
        first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in first["loc"]) or "the document"
        message = _PLAIN.get(first["type"], first["msg"]).removeprefix("Value error, ")
        raise InvalidDocument(
            "RUNG-YAML-CONTENT",
            f"{path}: {message}",
            way_out=f"See {page} for what may stand here.",
            line=(first["type"] == "value_error" and _line_named(node, message))
            or _line_of(node, first["loc"]),
        ) from error
