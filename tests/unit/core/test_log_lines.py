"""In a process of its own: what a process logs is a property of all of it."""

import re
import subprocess
import sys

import pytest

from tests.terminal import ROOT

LOGS = """
import logging, sys
from core.log_lines import log_lines
log_lines(sys.argv[1])
for name in ("rung.live", "httpx"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("said")
"""


@pytest.mark.parametrize(
    ("level", "own", "of_libraries"),
    [
        ("debug", ["DEBUG", "INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("info", ["INFO", "WARNING", "ERROR"], ["WARNING", "ERROR"]),
        ("error", ["ERROR"], ["ERROR"]),
    ],
)
def test_a_line_says_when_how_grave_and_where(
    level: str, own: list[str], of_libraries: list[str]
) -> None:
    words = [sys.executable, "-c", LOGS, level]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ([A-Z]+) ([\w.]+): said"
    lines = [re.fullmatch(form, line) for line in said.splitlines()]
    assert [line and (line[2], line[1]) for line in lines] == [
        *(("rung.live", grave) for grave in own),
        *(("httpx", grave) for grave in of_libraries),
    ]
