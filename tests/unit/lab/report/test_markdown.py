"""The Markdown: valid tables, no value becomes markup, the same figures as the page."""

import re

import pytest

from lab.evaluation import Evaluation
from lab.report import render_markdown
from lab.report.amounts import MINUS
from lab.report.markdown import escaped
from tests.unit.lab.report.evaluations import CHECKS, HOSTILE, least, ranker, whole


def tables(text: str) -> list[list[list[str]]]:
    """Cells by table and row, as GitHub splits them: at every pipe that is not escaped."""
    found: list[list[list[str]]] = []
    within = False
    for line in text.splitlines():
        if not line.startswith("|"):
            within = False
            continue
        if not within:
            found.append([])
        within = True
        assert line.endswith("|")
        found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


@pytest.mark.parametrize("evaluation", [whole(), ranker(), least()], ids=lambda one: one.kind)
def test_tables_are_github_s(evaluation: Evaluation) -> None:
    found = tables(render_markdown(evaluation, checks=CHECKS))
    assert found
    for table in found:
        assert len({len(row) for row in table}) == 1
        assert all(re.fullmatch(r"-{3,}:?", cell) for cell in table[1])
        assert len(table) > 2


def test_a_value_is_text_and_stays_in_its_cell() -> None:
    text = render_markdown(whole(), checks=CHECKS)
    assert "<script" not in text and "<b>" not in text
    assert r"region = &lt;script&gt;alert('$x$')&lt;/script&gt; \| a b \`c\`" in text
    assert r"duration \| AUC 0.82 &lt;b&gt;" in text


def test_escapes() -> None:
    assert escaped("a|b\nc") == r"a\|b c"
    assert escaped("[x](http://e)") == r"[x]\(http://e)"
    assert escaped("R&D &lt;") == "R&D &amp;lt;"
    assert escaped(r"a\|b *c*") == r"a\\\|b \*c\*"


def test_it_says_what_the_page_says() -> None:
    text = render_markdown(whole(notes=(HOSTILE,)))
    assert text.startswith("# term_deposit\n")
    assert "**Registered: linear** (↓ simpler step)" in text
    assert "| GATE-PARITY | ? unknown | parity was not measured |" in text
    assert "2.767 (2.667 to 2.867, n = 1,200 in 300 clusters)" in text
    assert "Believe the temporal split." in text
    assert "1,042 rows left out" in text
    rows = "n = 1,200 in 300 clusters"
    assert f"The gap (random less temporal) of AUC is +0.206 (0.182 to 0.230), {rows}" in text
    assert f"linear reaches 109.7 % (105.7 % to 113.7 %), {rows}, of what boosted" in text
    assert f"| Brier score | 0.121 (0.117 to 0.125, {rows}) |" in text
    assert "| expected calibration error · ✗ beyond what chance does | 0.0310 (0.0230 to" in text


def test_a_ranker_is_named_by_its_metric() -> None:
    text = render_markdown(ranker())
    assert "Compared by NDCG@10 (mean over queries, linear gain), higher is better." in text
    assert f"learned over hybrid | NDCG@10 | +0.00110 ({MINUS}0.00690 to 0.00910, n = 300)" in text
    assert "✗ not shown to beat it" in text
