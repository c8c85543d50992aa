"""The small decision by fields of table_world as a folder and rows, for `rung train`."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.table_world import TableWorld, table_spec

NAME = "loans"
ROWS = 2000  # the fewest with which the gate lets a model in at this seed
SEED = 1
COLUMNS = ("amount", "age", "channel", "customer", "defaulted")
CHANNELS = ("app", "web", "phone")
# A person costs less than an uncertain answer does, so that some requests go to one.
COSTS: dict[str, Any] = {
    "currency": "EUR",
    "error": 50,
    "wrong_answer": 50,
    "person": {"price": 6, "minutes": 0, "error_rate": 0},
    "matrix": [
        {"outcome": "grant", "truth": "decline", "cost": 100},
        {"outcome": "decline", "truth": "grant", "cost": 20},
    ],
}
BUDGETS: dict[str, Any] = {
    "latency_p95_ms": 1000,
    "deadline_ms": 20_000,  # far above what a loaded machine takes: no answer depends on its pace
    "throughput_per_s": 10,
    "price_per_decision": 0.1,
    "price_per_day": 10,
}
RULES = """
version: "1"
hit_policy: first
rules:
  - id: too_large
    when: {field: amount, gt: 5000}
    outcome: decline
    reason: a loan above 5,000 EUR is no small loan
"""


@dataclass(frozen=True, kw_only=True)
class LoansFolder:
    decision: Path
    rows: Path


def written(folder: Path) -> LoansFolder:
    folder.mkdir(parents=True)
    spec = table_spec(costs=COSTS, budgets=BUDGETS)
    content = spec.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
    (folder / "decision.yaml").write_text(content, "utf-8")
    (folder / "rules.yaml").write_text(RULES, "utf-8")
    rows = folder.parent / "loans.csv"
    columns = TableWorld(ROWS, seed=SEED).columns(COLUMNS)
    with rows.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            ["" if value is None else value for value in row]
            for row in zip(*columns.values(), strict=True)
        )
    return LoansFolder(decision=folder, rows=rows)


def facts_of(number: int) -> dict[str, Any]:
    """No two numbers share an amount, by which a stored request is known again."""
    return {
        "amount": 20 + number * 7919 % 2**17 / 64,  # exact in binary: stored as it was sent
        "age": 18 + number * 7 % 60,
        "channel": CHANNELS[number % 3],
        "customer": f"c{number % 400}",
    }
