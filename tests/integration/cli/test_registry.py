"""`rung registry` over versions that were stored, and over one that was trained and made again."""

import csv
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.home import Home
from cli.main import app
from cli.registry_views import reproduced
from core.artifacts import ArtifactStore
from core.settings import Settings
from core.store import NewVersion, Store, Version
from lab.evaluation import (
    Evaluation,
    Figure,
    GateReason,
    GateReport,
    SliceRow,
    SplitReport,
    StepReport,
)
from lab.lineage import (
    ROOT,
    CodeState,
    Lineage,
    as_reasons,
    promotable,
    read_code_state,
    read_environment,
    version_id,
)
from tests.fakes.clock import FixedClock
from tests.schemas import faults
from tests.terminal import run
from tests.terminal import told as terminal_told

CODE = CodeState(source_digest="c" * 64, revision="a" * 40, dirty=False)


def figure(mean: float) -> Figure:
    return Figure(mean=mean, ci_low=mean - 0.1, ci_high=mean + 0.1, n=400, clusters=90)


def evaluation(cost: float, verdict: Any = "holds") -> Evaluation:
    steps = [
        StepReport(name="constant", meaning="", figures={"cost": figure(2.0)}),
        StepReport(name="linear", meaning="", figures={"cost": figure(cost)}),
    ]
    reason = GateReason(code="GATE-LATENCY", holds=None, what="latency was not measured here")
    return Evaluation(
        kind="table",
        decision="support",
        metric="cost",
        better="lower",
        unit="EUR a decision",
        split=SplitReport(kind="temporal", fit=600, validation=200, test=200),
        steps=tuple(steps),
        slices=tuple(
            SliceRow(slice="region", value=value, n=50, figure=figure(1.0), verdict=told)
            for value, told in (("north", verdict), ("south", "holds"))
        ),
        gate=GateReport(registered="linear", heaviest="linear", reasons=(reason,)),
    )


@contextmanager
def opened(folder: Path, clock: FixedClock) -> Iterator[Home]:
    settings = Settings.from_environment({"RUNG_HOME": str(folder)})
    key = settings.secret.get_secret_value().encode()
    store = Store.open(settings.database_url, clock, secret=settings.secret)
    artifacts = ArtifactStore(settings.artifacts, key)
    yield Home(settings=settings, store=store, artifacts=artifacts, clock=clock)
    store.close()


def put(home: Home, judged: Evaluation | None, **further: Any) -> Version:
    """As training does: the files first, the row last."""
    artifact = home.artifacts.put("default", "release", {"model": repr(further).encode()})
    stored = None
    if judged is not None:
        files = {"evaluation.json": judged.model_dump_json().encode()}
        stored = home.artifacts.put("default", "evaluation", files)
    lineage = Lineage(
        code=CODE,
        snapshot="5" * 64,
        features="f" * 64,
        spec="d" * 64,
        environment=read_environment(ROOT),
        evaluation=stored,
        parameters={"seed": 0, "only": None},
    )
    lineage = replace(lineage, **further)
    reasons = promotable(lineage)
    return home.store.register_version(
        "default",
        NewVersion(
            id=version_id(lineage, artifact),
            decision="support",
            step="linear",
            artifact=artifact,
            evaluation=stored,
            lineage=lineage.to_json(),
            reasons=as_reasons(reasons),
        ),
        promote=not reasons,
    )


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def home(tmp_path: Path, clock: FixedClock) -> Iterator[Home]:
    with opened(tmp_path / "home", clock) as made:
        yield made


@pytest.fixture
def versions(home: Home, clock: FixedClock) -> dict[str, Version]:
    made = {}
    for name, judged, further in (
        ("old", evaluation(1.5), {}),
        ("new", evaluation(1.2, "worse"), {"parameters": {"seed": 1, "only": None}}),
        ("dirty", evaluation(1.0), {"code": replace(CODE, dirty=True, changed=("core/a.py",))}),
        ("unjudged", None, {}),
    ):
        made[name] = put(home, judged, **further)
        clock.advance(hours=1)
    return made


def said(home: Home, *words: str, code: int = 0, **env: str) -> str:
    env = {"RUNG_HOME": str(home.settings.home), **env}
    result = CliRunner().invoke(app, ["registry", *words], env=env)
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def told(home: Home, *words: str, code: int = 0) -> Any:
    content = json.loads(said(home, *words, "--json", code=code))
    schema = f"registry-{words[0]}" if code != 2 else "error"
    assert faults(schema, content) == []
    return content


def test_list_tells_what_is_live_and_what_is_refused(
    home: Home, versions: Mapping[str, Version]
) -> None:
    listed = told(home, "list")["versions"]
    assert [one["id"] for one in listed] == [one.id for one in reversed(versions.values())]
    assert [one["state"] for one in listed] == ["refused", "refused", "registered", "registered"]
    assert [one["live"] for one in listed] == [False, False, True, False]
    assert told(home, "list", "--decision", "support")["versions"] == listed
    assert told(home, "list", "--decision", "other") == {"versions": []}
    assert told(home, "list", "--tenant", "other") == {"versions": []}
    assert "linear (registered, live)" in said(home, "list")
    home.store.register_release("default", "support", versions["old"].artifact)  # a rollback
    assert [one["live"] for one in told(home, "list")["versions"]] == [False, False, False, True]


def test_show_says_what_the_gate_said_and_what_is_in_the_way(
    home: Home, versions: Mapping[str, Version]
) -> None:
    shown = told(home, "show", versions["dirty"].id[:10])
    assert [reason["code"] for reason in shown["reasons"]] == ["RUNG-CODE-DIRTY"]
    assert shown["gate"] == evaluation(1.0).gate.model_dump(mode="json")
    assert [(row["step"], row["mean"]) for row in shown["figures"]] == [
        ("constant", 2.0),
        ("linear", 1.0),
    ]
    readable = said(home, "show", versions["dirty"].id)
    assert "RUNG-CODE-DIRTY" in readable and "core/a.py" in readable
    assert "unknown  GATE-LATENCY" in readable and "1 [0.9, 1.1], n = 400 in 90" in readable
    unjudged = told(home, "show", versions["unjudged"].id)
    assert (unjudged["gate"], unjudged["figures"]) == (None, [])
    assert unjudged["reasons"][0]["code"] == "RUNG-LINEAGE-EVALUATION"


def test_compare_sets_two_side_by_side(home: Home, versions: Mapping[str, Version]) -> None:
    old, new = versions["old"].id, versions["new"].id
    both = told(home, "compare", old, new)
    assert (both["a"]["id"], both["b"]["id"], both["same_data"]) == (old, new, True)
    means = [(row["step"], row["a"]["mean"], row["b"]["mean"]) for row in both["figures"]]
    assert means == [("constant", 2.0, 2.0), ("linear", 1.5, 1.2)]
    assert [(row["value"], row["a"]["verdict"], row["b"]["verdict"]) for row in both["slices"]] == [
        ("north", "holds", "worse")
    ]
    parts = {row["part"]: (row["a"], row["b"]) for row in both["lineage"]}
    assert parts.keys() == {"evaluation", "parameters.seed"}
    assert parts["parameters.seed"] == (0, 1)
    readable = said(home, "compare", old, new)
    assert "region = north: holds (n = 50) -> worse (n = 50)" in readable
    same = told(home, "compare", old, old)
    assert (same["slices"], same["lineage"]) == ([], [])
    with_none = told(home, "compare", versions["unjudged"].id, old)
    assert {row["a"] for row in with_none["figures"]} == {None}
    said(home, "compare", versions["unjudged"].id, old)


def test_lineage_is_a_tree_that_ends_in_the_artifact(
    home: Home, versions: Mapping[str, Version]
) -> None:
    version = versions["new"]
    content = told(home, "lineage", version.id)
    assert version_id(Lineage.from_json(content["lineage"]), content["artifact"]) == version.id
    lines = said(home, "lineage", version.id).splitlines()
    assert lines[-1] == f"└── artifact {version.artifact}"
    tops = [line.split()[1] for line in lines[1:] if line[0] in "├└"]
    order = "code snapshot features spec parameters indexes environment evaluation artifact"
    assert tops == order.split()
    assert any(line.endswith("├── seed 1") for line in lines)


@pytest.mark.parametrize(
    "words", [("show",), ("lineage",), ("reproduce",), ("promote",), ("compare", "{}")]
)
def test_an_id_that_is_none_or_anothers_is_refused(
    home: Home, versions: Mapping[str, Version], words: tuple[str, ...]
) -> None:
    mine = versions["old"].id
    command, *first = (word.format(mine) for word in words)
    assert told(home, command, *first, "f00", code=2)["error"]["code"] == "RUNG-VERSION-ID"
    other = told(home, command, *first, mine, "--tenant", "other", code=2)
    assert other["error"]["code"] == "RUNG-VERSION-ID"


def test_what_may_not_go_live_or_does_not_load_is_not_promoted(
    home: Home, versions: Mapping[str, Version]
) -> None:
    dirty = Lineage.from_json(versions["dirty"].lineage)
    trial = replace(_new(versions["dirty"]), id="1" * 64, reasons=(), trial=True)
    lost = replace(_new(versions["old"]), id="2" * 64, artifact="a" * 64)
    for other in (trial, lost):
        home.store.register_version("default", other, promote=False)
    assert dirty.code is not None and dirty.code.dirty
    before = home.store.promotions("default", "support")
    for prefix, code in (
        (versions["dirty"].id, "RUNG-VERSION-REFUSED"),
        (versions["unjudged"].id, "RUNG-VERSION-REFUSED"),
        (trial.id, "RUNG-CODE-DIRTY"),  # this home is not for trials
        (lost.id, "RUNG-ARTIFACT-UNKNOWN"),
        (versions["old"].id, "RUNG-RELEASE-FORMAT"),  # no file of a release is in it
    ):
        assert told(home, "promote", prefix, code=2)["error"]["code"] == code
    named = told(home, "promote", versions["old"].id, "--decision", "billing", code=2)
    assert named["error"]["code"] == "RUNG-VERSION-OTHER"
    assert home.store.promotions("default", "support") == before


def test_an_evaluation_of_another_format_is_told(home: Home) -> None:
    files = {"evaluation.json": b'{"format": 99}'}
    stored = home.artifacts.put("default", "evaluation", files)
    version = put(home, evaluation(1.0))
    odd = replace(_new(version), id="0" * 64, evaluation=stored)
    home.store.register_version("default", odd, promote=False)
    refusal = told(home, "show", "0" * 64, code=2)
    assert refusal["error"]["code"] == "RUNG-EVALUATION-FORMAT"


def _new(version: Version) -> NewVersion:
    return NewVersion(**{name: getattr(version, name) for name in NewVersion.__dataclass_fields__})


def test_what_is_made_again_is_compared_with_what_was(home: Home) -> None:
    environment = replace(read_environment(ROOT), packages={"numpy": "1.0"})
    here = read_code_state(ROOT, home.settings)
    version = put(home, evaluation(1.0), environment=environment, code=here)
    asked: list[tuple[str, str]] = []

    def trained(home: Home, tenant: str, of: Version, progress: Any) -> str:
        asked.append((tenant, of.id))
        return version.artifact if len(asked) == 1 else "0" * 64

    for same in (True, False):
        content = reproduced(home, "default", version, trained, lambda *_: None)
        assert faults("registry-reproduce", content) == []
        assert content["reproduced"] is same
        parts = {row["part"]: row["then"] for row in content["differs"]}
        assert parts["environment.packages.numpy"] == "1.0"
        assert parts["environment.packages.scipy"] is None
        assert not any(part.startswith("code") for part in parts)
    assert asked == [("default", version.id)] * 2
    assert home.store.versions("default") == (version,)


DECISION = """
name: refunds
version: "1"
framing:
  event: a customer asks for a refund in the shop's app
  population: customers of the shop with a paid order
  target: the refund turns out to be abused within 30 days
  horizon_days: 30
  label_delay_days: 0
  kpi: {name: losses, unit: EUR a month, better: lower}
  owner: refunds@shop.example
request:
  time: {row_number: true}
  fields:
    amount: {type: number, min: 0, unit: EUR}
    orders: {type: integer, min: 0}
outcomes: {decline: no refund is paid, pay: the refund is paid}
costs:
  currency: EUR
  error: 60
  wrong_answer: 60
  person: {price: 30, minutes: 0, error_rate: 0.05}
budgets:
  {latency_p95_ms: 50, deadline_ms: 1000, throughput_per_s: 20, price_per_decision: 1,
   price_per_day: 50}
risk:
  outcome: decline
  otherwise: pay
  label: abused
  positive: "yes"
  features:
    amount: {kind: log1p, of: amount}
    orders: {kind: number, of: orders}
"""
RULES = """
version: "1"
hit_policy: first
rules:
  - {id: large, when: {field: amount, gt: 490}, outcome: decline, reason: above the limit}
tests:
  - {name: large, facts: {amount: 491}, expect: {outcomes: [decline]}}
"""


@pytest.fixture
def refunds(tmp_path: Path) -> tuple[Path, Path]:
    """A decision by fields, and 600 rows of it."""
    folder = tmp_path / "refunds"
    folder.mkdir()
    (folder / "decision.yaml").write_text(DECISION)
    (folder / "rules.yaml").write_text(RULES)
    draw = random.Random(3)
    table = tmp_path / "rows.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["amount", "orders", "abused"])
        for _ in range(600):
            amount, orders = draw.uniform(1, 500), draw.randrange(30)
            sure = amount / 500 - orders / 60 + draw.gauss(0, 0.1) > 0.4
            writer.writerow([round(amount, 2), orders, "yes" if sure else "no"])
    return folder, table


def test_what_was_trained_is_reproduced(tmp_path: Path, refunds: tuple[Path, Path]) -> None:
    home, (folder, table) = tmp_path / "home", refunds
    env = {"RUNG_ALLOW_DIRTY": "1"}
    ended = run(home, "train", folder, "--data", table, "--json", env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ended = run(home, "registry", "list", "--json")
    (version,) = json.loads(ended.stdout)["versions"]
    assert (version["live"], version["decision"]) == (True, "refunds")
    ended = run(home, "registry", "reproduce", version["id"][:8], "--json")
    content = json.loads(ended.stdout)
    assert faults("registry-reproduce", content) == []
    assert (ended.returncode, content["obtained"]) == (0, version["artifact"])
    assert (content["reproduced"], content["differs"]) == (True, [])
    ended = run(home, "registry", "list", "--json")
    assert json.loads(ended.stdout)["versions"] == [version]  # nothing was registered again
    ended = run(home, "registry", "show", version["id"])
    assert ended.returncode == 0 and "the gate registered" in ended.stdout
    with opened(home, FixedClock()) as here:
        trained = here.store.version("default", version["id"])
        files = here.artifacts.get("default", trained.artifact, "release").files
        foreign = here.artifacts.put("default", "release", {**files, "more.txt": b"by hand"})
        odd = replace(_new(trained), id="0" * 64, artifact=foreign)
        here.store.register_version("default", odd, promote=False)
    ended = run(home, "registry", "reproduce", "0" * 64)
    assert ended.returncode == 1
    assert f"not reproduced: {trained.artifact}, where {foreign}" in ended.stdout
    assert "training does not repeat itself" in ended.stdout


def test_an_older_version_is_live_again(tmp_path: Path, refunds: tuple[Path, Path]) -> None:
    home, (folder, table) = tmp_path / "home", refunds
    facts = tmp_path / "facts.jsonl"
    facts.write_text('{"amount": 491, "orders": 2}\n')
    trained = []
    for limit in (490, 495):
        rules = RULES.replace("gt: 490", f"gt: {limit}").replace("amount: 491", "amount: 499")
        (folder / "rules.yaml").write_text(rules)
        trained.append(terminal_told(home, "train", folder, "--data", table))
    older, newer = trained
    assert terminal_told(home, "decide", "refunds", "--facts", facts)["release"] == newer["release"]
    words = ("--decision", "refunds", "--reason", "declines too few")
    content = terminal_told(home, "registry", "promote", older["version"][:10], *words)
    assert faults("registry-promote", content) == []
    assert (content["release"], content["before"]) == (older["release"], newer["release"])
    decided = terminal_told(home, "decide", "refunds", "--facts", facts)
    assert (decided["release"], decided["rung"]) == (older["release"], "rules")
    listed = terminal_told(home, "registry", "list")["versions"]
    assert [one["live"] for one in listed] == [False, True]
    shown = terminal_told(home, "registry", "show", older["version"])
    assert faults("registry-show", shown) == []
    again, first = shown["promotions"]
    assert again == {"at": content["promoted_at"], "who": content["who"], "reason": words[-1]}
    assert (first["who"], first["reason"]) == (None, None)
    readable = run(home, "registry", "show", older["version"]).stdout
    assert f"by {content['who']}: declines too few" in readable and "by training" in readable
    readable = run(home, "registry", "promote", newer["version"]).stdout
    assert f"before it release {older['release'][:12]}" in readable
