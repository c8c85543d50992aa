"""The shipped example: a whole description, one corpus of facts, and a simulator that is honest."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import BaseModel

from core.spec import DecisionSpec, load_spec
from core.yaml_source import parse_document
from rankers.documents import read_corpus
from rules.ruleset import RulesEngine

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "examples" / "payments_support"
PAGE = (ROOT / "docs/reference/decision.md").read_text("utf-8")
TRUTHS = {"intent", "fraud", "truth", "documents", "resolved_at"}


def _load(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("payments_support_simulate", path)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look their module up there
    found.loader.exec_module(module)
    return module


simulator = _load(FOLDER / "simulate.py")
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def spec() -> DecisionSpec:
    return load_spec(FOLDER)


@pytest.fixture(scope="module")
def train() -> Rows:
    return list(simulator.simulate(4000, 7))


@pytest.fixture(scope="module")
def test_rows() -> Rows:
    return list(simulator.simulate(2000, 7, split="test"))


def facts_of(row: Mapping[str, Any], spec: DecisionSpec) -> dict[str, Any]:
    return {name: row[name] for name, f in spec.request.fields.items() if f.available}


# --- the folder


def test_every_outcome_of_a_rule_is_declared(spec: DecisionSpec) -> None:
    engine = RulesEngine.from_text((FOLDER / spec.rules).read_text("utf-8"))
    assert engine.run_cases() == []
    assert {rule.outcome for rule in engine.ruleset.rules} <= set(spec.outcomes)


def test_articles_are_of_a_size_and_told_apart_by_id_and_title(spec: DecisionSpec) -> None:
    documents = [d for corpus in spec.corpora for d in read_corpus(FOLDER / corpus)]
    assert len(documents) >= 60
    assert len({d.id for d in documents}) == len({d.title for d in documents}) == len(documents)
    for document in documents:
        assert 80 <= len(document.text.split()) <= 200, document.id


def test_the_shown_requests_fit_the_schema_and_the_rules_take_five(spec: DecisionSpec) -> None:
    engine = RulesEngine.from_text((FOLDER / spec.rules).read_text("utf-8"))
    lines = (FOLDER / "requests.jsonl").read_text("utf-8").splitlines()
    verdicts = [engine.decide(spec.request.validate_facts(json.loads(line))) for line in lines]
    assert [v.outcomes for v in verdicts] == [
        ("block_card",),
        ("refund",),
        (),
        ("explain_transfer_time",),
        ("unlock_account",),
        *[()] * (len(lines) - 5),
    ]
    assert [place for place, v in enumerate(verdicts) if v.escalate] == [2]


# --- the simulator


def test_rows_fit_the_schema(spec: DecisionSpec, train: Rows, test_rows: Rows) -> None:
    for row in train + test_rows:
        assert set(row) == set(spec.request.fields) | TRUTHS
        facts = facts_of(row, spec)
        assert spec.request.validate_facts(facts) == facts


def test_the_truth_is_what_the_description_says_unless_it_is_fraud(
    spec: DecisionSpec, train: Rows, test_rows: Rows
) -> None:
    for row in train + test_rows:
        of_intent = "person"
        if row["intent"] != spec.out_of_scope:
            of_intent = spec.truth_of_intent(row["intent"])
        assert row["truth"] == ("block_card" if row["fraud"] else of_intent)


def test_documents_stand_in_the_corpus_of_the_intent_s_handler(
    spec: DecisionSpec, train: Rows, test_rows: Rows
) -> None:
    corpora = {c: {d.id for d in read_corpus(FOLDER / c)} for c in spec.corpora}
    asked: set[str] = set()
    for row in train + test_rows:
        intent = spec.intents.get(row["intent"])
        corpus = spec.handlers[intent.handler].corpus if intent and intent.handler else None
        assert len(row["documents"]) == len(set(row["documents"])) <= 2
        assert bool(row["documents"]) == (corpus is not None)
        if corpus:
            assert set(row["documents"]) <= corpora[corpus]
        asked |= set(row["documents"])
    assert asked == set().union(*corpora.values())  # no article is there for nobody


def test_time_only_goes_forward_and_a_truth_is_known_within_the_label_delay(
    spec: DecisionSpec, train: Rows
) -> None:
    sent = np.array([np.datetime64(row["occurred_at"][:19]) for row in train])
    known = np.array([np.datetime64(row["resolved_at"][:19]) for row in train])
    assert (np.diff(sent) > np.timedelta64(0)).all()
    delays = (known - sent) / np.timedelta64(1, "D")
    assert delays.min() >= 0 and delays.max() <= spec.framing.label_delay_days


def test_the_mix_is_as_described(train: Rows) -> None:
    kinds = Counter(row["truth"] for row in train)
    assert set(kinds) == {"answer", *(truth for _, truth in simulator.INTENTS.values())}
    assert 0.065 <= np.mean([len(row["documents"]) == 2 for row in train]) <= 0.095
    assert 0.03 <= np.mean([row["fraud"] for row in train]) <= 0.05
    foreign = re.compile(r"[äöüßéèàêçñ¿]", re.I)
    outside = [row["message"] for row in train if row["intent"] == "out_of_scope"]
    assert sum(bool(foreign.search(text)) for text in outside) >= 60


def test_messages_hold_personal_data_that_passes_its_checks(train: Rows) -> None:
    text = "\n".join(row["message"] for row in train)
    cards = [c.replace(" ", "") for c in re.findall(r"\b4\d{3}(?: \d{4}){3}\b", text)]
    ibans = re.findall(r"\bDE\d{20}\b", text)
    assert cards and ibans and "@example.com" in text and "+49 151" in text
    for card in cards:
        doubled = [int(d) * (2 - n % 2) for n, d in enumerate(card)]
        assert sum(sum(divmod(d, 10)) for d in doubled) % 10 == 0
    assert all(int(iban[4:] + "1314" + iban[2:4]) % 97 == 1 for iban in ibans)


def test_no_test_phrase_stands_in_training() -> None:
    def plain(phrase: str) -> str:
        return " ".join(re.findall(r"[^\W_]+", phrase.lower()))

    for path in sorted((FOLDER / "phrases").glob("*.yaml")):
        for intent, topics in yaml.safe_load(path.read_text("utf-8")).items():
            for topic, families in topics.items():
                seen = {plain(line) for line in families["train"].splitlines()}
                held_out = [plain(line) for line in families["test"].splitlines()]
                assert len(seen) >= 6 and len(held_out) >= 3, (intent, topic)
                assert not seen & set(held_out), (intent, topic)


def test_new_wording_comes_only_in_the_last_quarter(train: Rows) -> None:
    old = simulator._phrases("train", False)["card_stolen"]["none"]
    new = simulator._phrases("train", True)["card_stolen"]["none"]
    assert not set(old) & set(new)
    fresh = [any(p.lower() in row["message"].lower() for p in new) for row in train]
    assert not any(fresh[:3000]) and any(fresh[3000:])


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    digests = set()
    for hash_seed in ("0", "1"):
        out = tmp_path / f"{hash_seed}.jsonl"
        words = ["--rows", "200", "--seed", "3", "--out", str(out), "--drift", "0.5", "--incident"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo"}
        subprocess.run(
            [sys.executable, str(FOLDER / "simulate.py"), *words],
            check=True,
            capture_output=True,
            env=environment,
        )
        digests.add(hashlib.sha256(out.read_bytes()).hexdigest())
    here = simulator.simulate(200, 3, drift=0.5, incident=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in here)
    assert digests == {hashlib.sha256(text.encode()).hexdigest()}


def test_seeds_and_families_differ() -> None:
    runs = [
        simulator.simulate(50, 1),
        simulator.simulate(50, 2),
        simulator.simulate(50, 1, split="test"),
    ]
    assert len({json.dumps(list(run)) for run in runs}) == 3


@pytest.mark.parametrize("words", [["--rows", "-1"], ["--rows", "5", "--drift", "nan"]])
def test_a_wrong_argument_writes_nothing(tmp_path: Path, words: list[str]) -> None:
    out = tmp_path / "rows.jsonl"
    command = [
        sys.executable,
        str(FOLDER / "simulate.py"),
        *words,
        "--seed",
        "1",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("drift", "incident"), [(0.0, False), (1.0, False), (0.0, True)], ids=["calm", "drift", "wave"]
)
def test_fraud_happens_as_often_as_its_probability_says(drift: float, incident: bool) -> None:
    n = 12_000
    rows = list(simulator.simulate(n, 5, drift=drift, incident=incident))
    told = np.array(
        [
            simulator.fraud_probability(
                row, drift=drift, wave=incident and simulator.in_wave(place, n)
            )
            for place, row in enumerate(rows)
        ]
    )
    happened = np.array([row["fraud"] for row in rows])
    for part in np.array_split(np.argsort(told, kind="stable"), 6):
        deviation = np.sqrt((told[part] * (1 - told[part])).sum())
        assert abs(happened[part].sum() - told[part].sum()) <= 4 * deviation


def test_a_wave_brings_more_fraud_and_only_there() -> None:
    n = 6000
    rows = list(simulator.simulate(n, 9, incident=True))
    inside = [row["fraud"] for place, row in enumerate(rows) if simulator.in_wave(place, n)]
    outside = [row["fraud"] for place, row in enumerate(rows) if not simulator.in_wave(place, n)]
    assert len(inside) == 900 and np.mean(inside) > 3 * np.mean(outside)


def test_drift_moves_fields_intents_and_what_fraud_is() -> None:
    calm, drifted = (list(simulator.simulate(3000, 4, drift=drift)) for drift in (0.0, 1.0))

    def share(rows: Rows, intent: str) -> float:
        return float(np.mean([row["intent"] == intent for row in rows]))

    assert share(drifted, "ask_travel") > 1.5 * share(calm, "ask_travel")
    medians = [np.median([r["amount"] for r in rows if r["amount"]]) for rows in (calm, drifted)]
    assert medians[1] > 1.2 * medians[0]
    abroad = {**calm[0], "new_device": True, "country": "US", "home_country": "DE"}
    abroad["occurred_at"] = "2026-01-01T12:00:00+00:00"
    at_night = {**abroad, "occurred_at": "2026-01-01T03:00:00+00:00", "new_device": False}
    assert simulator.fraud_probability(abroad) > simulator.fraud_probability(abroad, drift=1.0)
    assert simulator.fraud_probability(at_night) < simulator.fraud_probability(at_night, drift=1.0)


def test_the_label_is_given_away_by_the_field_that_is_known_only_afterwards(train: Rows) -> None:
    filed = np.array([row["chargeback_filed"] for row in train])
    fraud = np.array([row["fraud"] for row in train], dtype=bool)
    assert filed[fraud].mean() > 0.7 and filed[~fraud].mean() < 0.05


# --- its reference page


def test_every_key_of_a_decision_is_in_the_reference() -> None:
    def keys(model: type[BaseModel], found: set[type[BaseModel]]) -> set[str]:
        found.add(model)
        names = set(model.model_fields)
        for field in model.model_fields.values():
            for part in re.findall(r"core\.[\w.]+", str(field.annotation)):
                module, _, name = part.rpartition(".")
                inner = getattr(sys.modules.get(module), name, None)
                if isinstance(inner, type) and issubclass(inner, BaseModel) and inner not in found:
                    names |= keys(inner, found)
        return names

    found: set[type[BaseModel]] = set()
    names = keys(DecisionSpec, found)
    assert len(found) >= 12  # the walk has reached the parts
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_the_reference_s_fragments_are_valid_in_one_decision() -> None:
    fragments = re.findall(r"^```yaml-decision\n(.*?)^```", PAGE, re.M | re.S)
    assert len(fragments) >= 5
    whole = "".join(fragments)
    assert parse_document(whole, DecisionSpec).name == "claims"
