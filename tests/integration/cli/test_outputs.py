"""What every command prints with --json, on real input, is what its schema says."""

import csv
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.conftest import Training, simulated
from tests.schemas import faults
from tests.terminal import EXAMPLE, TEMPLATE, told

FIGURES = ("ndcg@10", "ndcg@1", "success@1", "recall@100", "map", "mrr@10")


def lines(home: Path, *words: object) -> list[Any]:
    """What a command prints in this process, so that models are loaded once for all of them."""
    result = CliRunner().invoke(app, [*map(str, words)], env={"RUNG_HOME": str(home)})
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_embed(training: Training) -> None:
    assert faults("embed", training.embedded) == []
    corpora = training.embedded["corpora"]
    assert [one["corpus"] for one in corpora] == ["corpus", "corpus_business"]
    for one in corpora:
        assert one["documents"] == {
            "waiting": 0,
            "ready": one["accepted"],
            "failed": 0,
            "deleted": 0,
        }
        (index,) = one["indexes"]
        assert index["revision"] == one["revision"]
        assert index["report"]["documents"] == one["accepted"]
    assert training.embedded["open_jobs"] == 0


def test_what_waits_already_is_not_queued_again(tmp_path: Path) -> None:
    (first,) = lines(tmp_path / "home", "embed", EXAMPLE, "--json")
    (second,) = lines(tmp_path / "home", "embed", EXAMPLE, "--json")
    assert faults("embed", first) == faults("embed", second) == []
    assert first["open_jobs"] == second["open_jobs"] == 2  # one for each corpus
    for one, two in zip(first["corpora"], second["corpora"], strict=True):
        assert one["documents"] == two["documents"] != {}
        assert (one["accepted"], two["unchanged"]) == (two["unchanged"], one["accepted"])
        assert two["accepted"] == one["removed"] == two["removed"] == 0


def test_a_refused_file_holds_up_no_other_and_its_document_stays(tmp_path: Path) -> None:
    folder = shutil.copytree(TEMPLATE, tmp_path / "decision")
    article = folder / "corpus" / "opening_hours.md"
    (folder / "corpus" / "gone.md").write_text("# Gone\n\nSoon.\n")
    lines(tmp_path / "home", "embed", folder, "--json")
    article.write_bytes(b"\xff\xfe of another program")
    (folder / "corpus" / "gone.md").unlink()
    (folder / "corpus" / "new.md").write_text("# New\n\nHere.\n")
    (folder / "corpus" / "export.md").write_bytes(b"x" * 50_000_000)
    words = ["embed", str(folder)]
    env = {"RUNG_HOME": str(tmp_path / "home")}
    result = CliRunner().invoke(app, [*words, "--json"], env=env)
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert faults("embed", told) == []
    (corpus,) = told["corpora"]
    assert (corpus["accepted"], corpus["unchanged"], corpus["removed"]) == (1, 0, 1)
    assert corpus["documents"] == {"waiting": 2, "ready": 0, "failed": 0, "deleted": 1}
    refused = [(one["document"], one["file"], one["code"]) for one in corpus["failed"]]
    assert refused == [
        ("export", "corpus/export.md", "RUNG-CORPUS-SIZE"),
        ("opening_hours", "corpus/opening_hours.md", "RUNG-CORPUS-READ"),
    ]
    assert "50,000,000 bytes" in corpus["failed"][0]["message"]
    readable = CliRunner().invoke(app, words, env=env)
    assert readable.exit_code == 1
    for one in corpus["failed"]:
        assert one["reason"].startswith(f"{one['code']}: {one['message']}")
        assert f"{one['document']}: {one['reason']}" in readable.stdout


def test_what_the_folder_says_now_is_what_is_searched(own_home: Path, tmp_path: Path) -> None:
    """Changed, gone and new; what training promoted is what it was before."""
    (before,) = lines(own_home, "embed", EXAMPLE, "--json")
    assert before["open_jobs"] == 0
    assert {one["accepted"] + one["removed"] for one in before["corpora"]} == {0}
    folder = shutil.copytree(EXAMPLE, tmp_path / "decision")
    (folder / "corpus" / "card-activate.md").unlink()
    (folder / "corpus" / "card-brand-new.md").write_text("# A new card\n\nIt is blue.\n")
    (folder / "corpus" / "card-declined.md").write_text("# Declined\n\nTry again.\n")
    (after,) = lines(own_home, "embed", folder, "--wait", "--json")
    corpus = after["corpora"][0]
    assert (corpus["accepted"], corpus["removed"], after["open_jobs"]) == (2, 1, 0)
    assert corpus["documents"]["ready"] == before["corpora"][0]["documents"]["ready"]
    report = corpus["indexes"][0]["report"]
    assert report["documents"] == corpus["documents"]["ready"]
    assert report["compared"]["documents_added"] == 1  # what is gone went a build before


def test_train(training: Training) -> None:
    told = training.trained
    assert faults("train", told) == []
    rows = told["report"]["rows"]
    assert sum(rows.values()) == len(training.history.read_text().splitlines())
    ladder = told["report"]["ladder"]
    assert sum(rung["n"] for rung in ladder["rungs"].values()) == rows["test"]
    assert ladder["cost_per_decision"]["n"] == rows["test"]


def test_decide_by_ladder(own_home: Path, training: Training) -> None:
    requests = EXAMPLE / "requests.jsonl"
    decided = lines(own_home, "decide", EXAMPLE, "--facts", requests, "--json")
    assert len(decided) == 23
    assert [faults("decide", decision) for decision in decided] == [[]] * 23
    assert {decision["release"] for decision in decided} == {training.trained["release"]}
    for decision in decided:
        *before, last = decision["steps"]
        assert all(step["action"] == "next" for step in before)
        ends = ("person",) if decision["rung"] == "person" else ("answer", "earlier")
        assert last["action"] in ends


def test_a_bad_line_leaves_nothing_decided(own_home: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.jsonl"
    good = (EXAMPLE / "requests.jsonl").read_text().splitlines()
    facts.write_text("\n".join([*good, '{"message": "hello", "amount": -3}']))
    words = ["decide", str(EXAMPLE), "--facts", str(facts), "--json"]
    result = CliRunner().invoke(app, words, env={"RUNG_HOME": str(own_home)})
    assert result.exit_code == 2
    refusal = json.loads(result.stdout)  # alone on standard output
    assert faults("error", refusal) == []
    assert refusal["error"]["code"].startswith("RUNG-FACTS-")
    assert stored(own_home) == 0
    lines(own_home, "decide", EXAMPLE, "--facts", EXAMPLE / "requests.jsonl", "--json")
    assert stored(own_home) == 23


def stored(home: Path) -> int:
    with sqlite3.connect(home / "rung.db") as connection:
        (count,) = connection.execute("select count(*) from decisions").fetchone()
    return int(count)


def test_evaluate_decision(own_home: Path, tmp_path: Path, training: Training) -> None:
    rows = tmp_path / "later.jsonl"
    simulated(rows, rows=40, seed=3, split="test")
    (told,) = lines(own_home, "evaluate", EXAMPLE, "--data", rows, "--json")
    assert faults("evaluate-decision", told) == []
    assert told["release"] == training.trained["release"]
    assert told["ladder"]["cost_per_decision"]["n"] == 40
    assert stored(own_home) == 0  # judging is no deciding
    (again,) = lines(own_home, "evaluate", "payments_support", "--data", rows, "--json")
    assert again == told


def test_bench_decide(own_home: Path) -> None:
    asked_nothing = {"RUNG_LLM_MODEL": "openai/dear", "RUNG_LLM_API_BASE": "no://such.place"}
    measured = told(own_home, "bench", "decide", "--n", 20, env=asked_nothing)
    assert faults("bench-decide", measured) == []
    for way in ("in_process", "http"):
        assert [figures["n"] for figures in measured[way].values()] == [20, 20, 20]
        for figures in measured[way].values():
            assert figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
    # It works on a copy: neither its decisions nor its key are left behind.
    assert stored(own_home) == 0
    assert lines(own_home, "key", "list", "--json") == [{"keys": []}]


def test_promote_where_it_loads(own_home: Path, training: Training) -> None:
    """A release that reads a text is loaded over the indexes that are searched now."""
    words = ("registry", "promote", training.trained["version"], "--json")
    env = {"RUNG_HOME": str(own_home), "RUNG_ALLOW_DIRTY": "1"}
    result = CliRunner().invoke(app, list(words), env=env)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert faults("registry-promote", told) == []
    assert told["before"] == told["release"] == training.trained["release"]
    for place in (own_home / "artifacts").rglob("*"):
        if place.is_file() and place.stat().st_size > 100_000:
            place.write_bytes(b"cut short")
    result = CliRunner().invoke(app, list(words), env=env)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "RUNG-ARTIFACT-CORRUPT"


# --- figures on one's own files

SUBJECTS = {
    "card": ["my card is gone", "the card does not work", "a new card please", "card was eaten"],
    "transfer": ["where is my transfer", "money not arrived", "send money abroad", "transfer late"],
    "pin": ["forgot my pin", "change the pin code", "pin is blocked", "need a new pin"],
    "none": ["what is the weather", "sing a song", "who won the game", "best pizza in town"],
}
ENDINGS = ["", " today", " again", ", please", "?", " since monday"]


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Train and test: the same subjects, no text in both."""
    paths = (tmp_path / "train.csv", tmp_path / "test.csv")
    for path, places in zip(paths, ([0, 1, 2], [3]), strict=True):
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "channel"])
            for label, texts in SUBJECTS.items():
                for place in places:
                    for number, ending in enumerate(ENDINGS):
                        channel = "app" if number % 3 else "phone"
                        writer.writerow([texts[place] + ending, label, channel])
    return paths


def test_evaluate_router(tables: tuple[Path, Path], tmp_path: Path) -> None:
    train, test = tables
    words = ["evaluate", "router", "--train", train, "--test", test, "--json"]
    (plain,) = lines(tmp_path, *words)
    assert faults("evaluate-router", plain) == []
    assert kept_models(tmp_path) == ["fp32"]  # what serves is measured, and no other embedder
    assert plain["n"] == 24 and not {key for key in plain if "scope" in key or "oos" in key}
    (scoped,) = lines(tmp_path, *words, "--out-of-scope", "none", "--slice", "channel")
    assert faults("evaluate-router", scoped) == []
    assert scoped.keys() - plain.keys() >= {"oos_auroc", "oos_recall", "in_scope_accuracy"}
    assert scoped["oos_n"] == {"out_of_scope": 6, "in_scope": 18}
    assert {name: part["n"] for name, part in scoped["slices"]["channel"].items()} == {
        "app": 16,
        "phone": 8,
    }


def kept_models(home: Path) -> list[str]:
    return [path.name.split("-")[1][:4] for path in (home / "models").glob("*")]


def test_evaluate_ranker(tmp_path: Path) -> None:
    collection(tmp_path)
    (told,) = lines(tmp_path, "evaluate", "ranker", "--beir", tmp_path, "--json")
    assert kept_models(tmp_path) == ["fp32"]
    assert faults("evaluate-ranker", told) == []
    assert told["n_documents"] == len(THINGS) and told["n_queries"] == len(THINGS)
    assert told["promoted"] == ("learned" if told["uplift"]["ci_low"] > 0 else "hybrid")
    for system in told["systems"].values():
        for figure in FIGURES:
            low, high = system["intervals"][figure]
            assert 0 <= low <= system[figure] <= high <= 1
    learned, hybrid = (told["systems"][name]["ndcg@10"] for name in ("learned", "hybrid"))
    assert told["uplift"]["diff"] == pytest.approx(learned - hybrid)


THINGS = [
    "card",
    "transfer",
    "pin",
    "fee",
    "limit",
    "loan",
    "statement",
    "address",
    "debit",
    "phone",
]
ASKED = ["how do I change the {}", "the {} does not work", "where is my {}", "what costs a {}"]
ASKED += ["I lost the {}", "is a {} safe"]


def collection(folder: Path) -> None:
    """A BEIR folder of an article about each thing; each question but one is for training."""
    documents = [
        {"_id": f"d-{thing}", "title": thing.title(), "text": f"All about the {thing} and its use."}
        for thing in THINGS
    ]
    queries = [
        {"_id": f"q-{thing}-{place}", "text": words.format(thing)}
        for thing in THINGS
        for place, words in enumerate(ASKED)
    ]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for query in queries:
        _, thing, place = query["_id"].split("-")
        split = "test" if int(place) == len(ASKED) - 1 else "train"
        splits[split].append(f"{query['_id']}\td-{thing}\t1\n")
    for split, judged in splits.items():
        text = "query-id\tcorpus-id\tscore\n" + "".join(judged)
        (folder / "qrels" / f"{split}.tsv").write_text(text)
