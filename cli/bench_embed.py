"""Embedders against the plain library on the same passages, and the one that these figures favour.

Every step is a process of its own. The passages are cut into rounds, and each round asks everybody
once, in turn forwards and backwards, so that a machine that is busy for a while is so for all.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np

from cli.bench_texts import (
    Collection,
    beir_collection,
    example_collection,
    mixed_passages,
    one_in_a_hundred_changed,
)
from core.errors import Unavailable

REFERENCE = "minilm"  # full precision through torch: whose quality the others must keep
MARGIN = 0.01  # of nDCG@10: the most that the interval may leave open
PASSAGES = 20_000
ROUNDS = 2
PLAIN_A_ROUND = 1_024  # 32 batches; its rate does not depend on how many more follow
WORKERS_SHARE = 10  # two workers against one, on so small a part of the passages
SEED = 0
Progress = Callable[[str, int, int], None]
Step = Mapping[str, Any]


def bench_embed(
    data: Path | None, passages: int, backends: Sequence[str], progress: Progress
) -> dict[str, Any]:
    """`data` is a BEIR folder, None for the example. Raises InvalidDocument, Unavailable."""
    collection = beir_collection(data) if data else example_collection(SEED)
    texts = mixed_passages(list(collection.documents.values()), passages, seed=SEED)
    tried = list(dict.fromkeys([REFERENCE, *backends]))
    with TemporaryDirectory() as folder:
        _write(Path(folder), collection, texts)
        bench = _Bench(Path(folder), passages, tried, progress)
        spent = bench.rounds()
        again = {name: bench.rerun(name) for name in tried}
        ndcg = {name: bench.ndcg(name) for name in tried}
        told = {name: _figures(name, spent, again[name], ndcg) for name in tried}
        chosen = choose(told)
        workers = bench.workers(chosen)
    lengths = np.quantile([len(text) for text in texts], [0.1, 0.5, 0.9, 1])
    shown = ("passages_per_s", "ratio", "ratio_sorted", "rerun_share", "peak_mb", "ndcg")
    return {
        "chosen": chosen,
        **{key: told[chosen][key] for key in shown},
        "plain_per_s": _rate(spent["plain"]),
        "plain_sorted_per_s": _rate(spent["plain_sorted"]),
        "plain_n": sum(part["n"] for part in spent["plain"]),
        "backends": told,
        "workers": workers,
        "passages": passages,
        "characters": dict(zip(("p10", "p50", "p90", "most"), lengths.tolist(), strict=True)),
        "data": collection.name,
        "margin": MARGIN,
        "cores": os.cpu_count(),
    }


def choose(backends: Mapping[str, Mapping[str, Any]]) -> str:
    """The fastest of those whose nDCG is surely no more than MARGIN below the reference's."""
    equal = [
        name
        for name, figures in backends.items()
        if name == REFERENCE or figures["ndcg_against_minilm"]["ci_low"] >= -MARGIN
    ]
    return max(equal, key=lambda name: backends[name]["passages_per_s"])


class _Bench:
    def __init__(
        self, folder: Path, passages: int, backends: Sequence[str], progress: Progress
    ) -> None:
        self._folder = folder
        self._passages = passages
        self._backends = backends
        self._progress = progress

    def rounds(self) -> dict[str, list[Step]]:
        """What each round took, by backend, and of the plain library in its two ways."""
        ways = ["plain", "plain_sorted", *self._backends]
        spent: dict[str, list[Step]] = {way: [] for way in ways}
        bounds = np.linspace(0, self._passages, ROUNDS + 1).astype(int).tolist()
        for place, (start, stop) in enumerate(pairwise(bounds)):
            for way in ways if place % 2 == 0 else reversed(ways):
                named = f"{way}, round {place + 1} of {ROUNDS}"
                if way.startswith("plain"):
                    last = min(stop, start + PLAIN_A_ROUND)
                    order = {"step": "plain", "sorted": way == "plain_sorted"}
                    order |= {"texts": "passages", "start": start, "stop": last}
                else:
                    order = _embedding(way, start, stop)
                spent[way].append(self._done(order, named))
        return spent

    def rerun(self, backend: str) -> Step:
        order = _embedding(backend, 0, self._passages) | {"texts": "changed"}
        return self._done(order, f"{backend}, with 1 % changed")

    def ndcg(self, backend: str) -> Step:
        order = _embedding(backend, 0, 0) | {"step": "ndcg"}
        return self._done(order, f"{backend}, retrieval")

    def workers(self, backend: str) -> dict[str, Any]:
        """Halves in two processes against the whole in one, each process with one thread."""
        n = max(2, self._passages // WORKERS_SHARE)
        one = self._done(_alone(backend, "one", 0, n), "one worker")
        halves = [(0, n // 2), (n // 2, n)]
        begun = [self._begun(_alone(backend, "two", *half)) for half in halves]
        two = [step.ended("two workers", self._progress) for step in begun]
        both = max(half["ended"] for half in two) - min(half["started"] for half in two)
        return {
            "backend": backend,
            "n": n,
            "one_per_s": _rate([one]),
            "two_per_s": n / both,
            "speed_up": (one["ended"] - one["started"]) / both,
            "cores": os.cpu_count(),
        }

    def _done(self, order: Step, named: str) -> Step:
        return self._begun(order).ended(named, self._progress)

    def _begun(self, order: Step) -> "StepProcess":
        told = json.dumps({**order, "folder": str(self._folder)})
        return StepProcess([sys.executable, "-m", "cli.bench_embed_step", told])


class StepProcess:
    """A step at work. Its result goes to a file: the pipe for it would be full at 64 KB, and the
    step then wait for whoever still reads its progress."""

    def __init__(self, command: Sequence[str]) -> None:
        self._result = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  `ended` does
        self._process = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdout=self._result,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, named: str, progress: Progress) -> Step:
        """Waits for it. Raises Unavailable where it failed."""
        progress(named, 0, 1)
        last = ""
        assert self._process.stderr is not None
        with self._result, self._process:
            for line in self._process.stderr:
                numbers = line.split()
                if len(numbers) == 2 and all(number.isdigit() for number in numbers):
                    progress(named, int(numbers[0]), int(numbers[1]))
                elif line.strip():
                    last = line.strip()
            code = self._process.wait()
            self._result.seek(0)
            content = self._result.read()
        if code != 0:
            raise Unavailable(
                "RUNG-BENCH-STEP",
                f"the step '{named}' ended with code {code}: {last[-300:]}",
                way_out="Look at the machine's memory and disk, or measure fewer passages.",
            )
        found: Step = json.loads(content)
        return found


def _embedding(backend: str, start: int, stop: int) -> dict[str, Any]:
    return {
        "step": "embed",
        "backend": backend,
        "threads": None,
        "tenant": backend,
        "texts": "passages",
        "start": start,
        "stop": stop,
    }


def _alone(backend: str, tenant: str, start: int, stop: int) -> dict[str, Any]:
    """With nothing kept before: in a tenant of its own."""
    return _embedding(backend, start, stop) | {"threads": 1, "tenant": tenant}


def _figures(
    name: str, spent: Mapping[str, Sequence[Step]], again: Step, ndcg: Mapping[str, Step]
) -> dict[str, Any]:
    from lab.fit_ranker import paired_uplift
    from lab.intervals import Bootstrap

    values, reference = (np.array(ndcg[of]["ndcg"]) for of in (name, REFERENCE))
    rate, first = _rate(spent[name]), _seconds(spent[name])
    return {
        "fingerprint": ndcg[name]["fingerprint"],
        "passages_per_s": rate,
        "ratio": rate / _rate(spent["plain"]),
        "ratio_sorted": rate / _rate(spent["plain_sorted"]),
        "rerun_share": _seconds([again]) / first,
        "peak_mb": max(step["peak_mb"] for step in (*spent[name], again)),
        "ndcg": {
            **Bootstrap(rows=len(values), seed=SEED).told(lambda rows: values[rows].mean()),
            "n": len(values),
        },
        "ndcg_against_minilm": paired_uplift(values, reference, seed=SEED),
    }


def _seconds(steps: Sequence[Step]) -> float:
    return float(sum(step["ended"] - step["started"] for step in steps))


def _rate(steps: Sequence[Step]) -> float:
    return float(sum(step["n"] for step in steps)) / _seconds(steps)


def _write(folder: Path, collection: Collection, texts: Sequence[str]) -> None:
    content = {
        "collection": asdict(collection),
        "passages": texts,
        "changed": one_in_a_hundred_changed(texts),
    }
    for name, value in content.items():
        (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
