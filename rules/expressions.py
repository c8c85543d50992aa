"""`expr:` conditions in CEL, for what structured conditions cannot say.

The facts are one variable, `facts`, a map of dynamic values: numbers of both kinds then compare
with any literal. The library stops hostile sources by itself (nesting 32, an iteration budget,
regular expressions in linear time); the length is capped here. An expression is compiled when its
file is read, never for a request.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

from core.contracts import NodeTrace

MAX_SOURCE_BYTES = 4096
_STATUS = re.compile(r"[A-Z_]+(?=: )")


@cache
def _environment() -> cel.Env:
    return cel.NewEnv(variables={"facts": cel.Type.Map(cel.Type.STRING, cel.Type.DYN)})


@lru_cache(maxsize=1024)  # a source is compiled by its check and used by its rule
def _program(source: str) -> cel.Expression:
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE_BYTES:
        raise ValueError(f"an expression may have {MAX_SOURCE_BYTES} bytes; use structured rules")
    try:
        program = _environment().compile(source)
    except RuntimeError as error:
        raise ValueError(f"not a CEL expression: {str(error).splitlines()[0]}") from error
    except TypeError as error:  # what the binding says of a text that is not valid Unicode
        raise ValueError("not a CEL expression: the text is not valid Unicode") from error
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise ValueError(f"an expression must be true or false, not {program.return_type()}")
    return program


def check_expression(source: str) -> str:
    """Returns `source`; raises ValueError where it does not compile to a condition."""
    _program(source)
    return source


def compile_expression(source: str) -> Callable[[Mapping[str, Any]], NodeTrace]:
    """A function from facts to truth; unknown, with a note, where CEL could not evaluate it. The
    note is for the trace, which holds nothing that a person sent: it tells kinds, never values.

    Null facts are dropped first, so that null and missing mean the same as in structured
    conditions, and `has(facts.x)` asks for a value.
    """
    program = _program(source)

    def evaluate(facts: Mapping[str, Any]) -> NodeTrace:
        present = {name: fact for name, fact in facts.items() if fact is not None}
        try:
            result = program.eval(data={"facts": present})
        except RuntimeError:  # the budget is spent, or a text is not valid Unicode
            return NodeTrace(label=source, truth=None, note="it could not be evaluated")
        if result.type() == cel.Type.BOOL:
            return NodeTrace(label=source, truth=result.value())
        return NodeTrace(label=source, truth=None, note=f"not a truth: {_kind(result)}")

    return evaluate


def _kind(result: cel.Value) -> str:
    """An error is a value here, of which only the status is told: its message quotes facts."""
    kind = str(result.type())
    status = _STATUS.match(str(result.value())) if kind == "ERROR" else None
    return f"{kind} {status[0]}" if status else kind
