"""The page: whole offline, no script, every value as text, the same bytes, nothing left unsaid."""

import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lab.evaluation import Evaluation, GateReport
from lab.report import render_html
from tests.unit.lab.report.evaluations import (
    CHECKS,
    HOSTILE,
    figure,
    least,
    ranker,
    slice_row,
    whole,
)

VOID = {"meta", "path", "use", "rect", "br"}


class Page(HTMLParser):
    """Every element with its attributes, its texts outside of SVG, and whether all are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "svg" not in self.open and "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@cache
def usual() -> str:
    return render_html(whole(), checks=CHECKS)


def page_of(evaluation: Evaluation) -> Page:
    return Page(render_html(evaluation))


def sections(page: Page) -> list[str | None]:
    return [attributes["id"] for attributes in page.named("section")]


def test_sections_come_in_the_order_of_a_decision_to_ship() -> None:
    page = Page(usual())
    assert sections(page) == [
        *("gate", "data", "ladder", "splits", "slices", "calibration", "cost", "curves"),
        *("confusion", "conformal", "kpi", "notes", "checks"),
    ]
    assert page.open == []


def test_sections_without_data_are_left_out() -> None:
    assert sections(page_of(least())) == ["data", "ladder"]
    assert sections(page_of(ranker())) == ["data", "ladder"]


@pytest.mark.parametrize("evaluation", [whole(), ranker(), least()], ids=lambda one: one.kind)
def test_nothing_is_fetched_and_no_script_runs(evaluation: Evaluation) -> None:
    page = page_of(evaluation)
    assert not page.named("script") and not page.named("link") and not page.named("img")
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    html = render_html(evaluation)
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}


def test_ids_are_unique_and_what_refers_to_them_finds_them() -> None:
    html = usual()
    counts = Counter(re.findall(r'\bid="([^"]+)"', html))
    assert max(counts.values()) == 1
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)) != set()
    used = {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)}
    assert used <= counts.keys()


def test_every_plot_says_what_it_shows() -> None:
    plots = Page(usual()).named("svg")
    assert len(plots) == 7
    assert all(one["role"] == "img" and one["aria-label"] for one in plots)


def test_a_value_is_text_and_never_markup() -> None:
    html = render_html(whole(decision="<img src=x onerror=alert(1)>", notes=(HOSTILE,)))
    page = Page(html)
    assert "<script" not in html and not page.named("img")
    assert " ".join(HOSTILE.split()) in page.text


def test_the_verdict_is_said_in_words() -> None:
    text = Page(usual()).text
    assert "Registered: linear ↓ simpler step" in text
    assert "Conditions met: 1; not met: 1; unknown: 1." in text
    for words in ("✓ holds", "✗ does not hold", "? unknown"):
        assert words in text
    assert "EUR 27,667 (27,289 to 28,045), n = 1,200 in 300 clusters" in text
    assert "EUR +95,664 (91,264 to 100,064)" in text


def test_a_problem_and_a_random_split_cannot_be_overlooked() -> None:
    gate = GateReport(
        registered="rules", heaviest="boosted", reasons=(), problem="nothing beats the rules"
    )
    split = whole().split.model_copy(update={"kind": "random"})
    page = page_of(whole(gate=gate, split=split))
    assert len([one for one in page.named("p") if one.get("class") == "warning"]) == 2
    assert "Problem: nothing beats the rules." in page.text
    assert "Random split: these figures come from rows mixed in time" in page.text
    assert "✗ problem" in page.text
    assert "warning" not in [one.get("class") for one in Page(usual()).named("p")]


def test_a_heaviest_step_that_earned_its_place_with_unknowns_is_no_clean_pass() -> None:
    gate = whole().gate.model_copy(update={"registered": "boosted"})
    assert "✓ earned, with unknowns" in page_of(whole(gate=gate)).text


def test_too_few_rows_are_no_pass_and_flagged_slices_come_first() -> None:
    text = Page(usual()).text
    assert "worse: 1; that hold: 1; with too few rows to say, which is no pass: 1." in text
    places = [text.index(f"region = {name}") for name in ("<script>", "few", "fine")]
    assert places == sorted(places)
    rows = re.findall(r"<tr>.*?</tr>", usual())
    few = next(row for row in rows if "region = few" in row)
    assert "insufficient data" in few and 'class="mark unknown"' in few and "good" not in few


def test_at_most_forty_slices_are_drawn_and_all_are_listed() -> None:
    many = tuple(slice_row(f"value {place:03}") for place in range(57))
    text = page_of(whole(slices=many)).text
    assert "The first 40 of 57 slices are drawn" in text
    assert all(row.value in text for row in many)


def test_steps_without_figures_say_why_and_yardsticks_are_marked() -> None:
    text = Page(usual()).text
    assert "no rule speaks" in text and "no figures" in text
    assert "last_label ○ not deployable" in text
    assert "linear ◆ registered" in text
    assert "C = 0.01, trees = 80, balanced = yes, depth = none" in text


def test_coverage_below_the_promise_is_said() -> None:
    assert "less than promised" in Page(usual()).text
    kept = whole().conformal
    assert kept is not None
    kept = kept.model_copy(update={"covered": figure(0.9, 0.01)})
    assert "less than promised" not in page_of(whole(conformal=kept)).text


def test_checks_that_need_a_person_come_first() -> None:
    text = Page(render_html(least(), checks=CHECKS)).text
    assert "2 checks: issue: 1, passed: 1." in text
    assert text.index("CHECK-TARGET") < text.index("CHECK-DUPLICATES")
    assert "duration | AUC 0.82 <b>" in text
    assert "Declare when it is known. See docs/reference/checks.md." in text


def test_the_same_bytes_in_another_process_with_another_hash_seed_and_time() -> None:
    root = Path(__file__).parents[4]
    code = (
        "import hashlib, sys; from lab.evaluation import Evaluation; "
        "from lab.report import render_html; "
        "told = Evaluation.model_validate_json(sys.stdin.read()); "
        "print(hashlib.sha256(render_html(told).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            input=whole().model_dump_json(),
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "SOURCE_DATE_EPOCH": epoch},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone, epoch in (("1", "UTC", "0"), ("2", "Asia/Tokyo", "1700000000"))
    }
    assert len(digests) == 1


def test_settings_of_the_process_neither_change_a_plot_nor_are_changed() -> None:
    import matplotlib

    before = usual()
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False}):
        assert render_html(whole(), checks=CHECKS) == before
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize("points", [((0.0, 0.0),), ((0.0, 0.0), (1.0, 0.0))])
def test_a_curve_of_one_point_or_without_cost_is_drawn(
    points: tuple[tuple[float, float], ...],
) -> None:
    curve = whole().cost_curve
    assert curve is not None
    free = figure(0.0, 0.0)
    curve = curve.model_copy(update={"points": points, "policy": free, "at_chosen": free})
    assert "svg" in {name for name, _ in page_of(whole(cost_curve=curve)).elements}
