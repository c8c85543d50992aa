"""Simulates requests for small loans, what became of them, and the payments before and after.

    python simulate.py --rows 5000 --seed 1 --out loans.csv --events payments.jsonl

The truth is known to the simulator (`default_probability`): large loans, young accounts, phone
requests and customers whose payments bounced lately are paid back less often. An event is told up
to three days after it happened, so a model that uses it at once would see the future.
"""

import argparse
import csv
import json
import math
import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS_A_DAY = 15
CUSTOMERS = 800
PAYMENTS_A_DAY = 90
WARM_UP = timedelta(days=60)  # payments before the first request
CHANNELS = {"app": 0.6, "web": 0.25, "phone": 0.15}


def default_probability(facts: Mapping[str, Any], bounced: int) -> float:
    """With which the simulator lets a loan default: the oracle for tests."""
    logit = (
        -4.0
        + 1.1 * math.log(facts["amount"] / 800)
        + (1.5 if facts["account_age_days"] < 90 else 0.0)
        + (1.2 if facts["channel"] == "phone" else 0.0)
        - 0.8 * math.log(facts["income"] / 2400)
        + 1.5 * min(bounced, 3)
    )
    return 1 / (1 + math.exp(-logit))


def simulate(rows: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Loans in the order of time, and the payments of all customers."""
    rng = random.Random(f"loans:{seed}")
    customers = [_customer(rng, number) for number in range(CUSTOMERS)]
    end = START + timedelta(days=rows / ROWS_A_DAY + 10)
    payments = _payments(rng, customers, end)
    bounced: dict[str, list[datetime]] = {}
    for payment in payments:
        if payment["kind"] == "bounced":
            moment = datetime.fromisoformat(payment["happened_at"])
            bounced.setdefault(payment["entity"], []).append(moment)
    loans, moment = [], START
    for _ in range(rows):
        moment += timedelta(seconds=max(1, round(rng.expovariate(ROWS_A_DAY) * 86_400)))
        days = (moment - START).days
        who = rng.choice([one for one in customers if one["age"] + days > 0])
        facts = {
            "customer": who["id"],
            "asked_at": moment.isoformat(),
            "amount": round(math.exp(rng.gauss(6.6, 0.6)), 2),
            "income": None if rng.random() < 0.08 else who["income"],
            "account_age_days": who["age"] + days,
            "channel": rng.choices(list(CHANNELS), weights=list(CHANNELS.values()))[0],
        }
        since = moment - timedelta(days=30)
        recent = sum(since < other <= moment for other in bounced.get(who["id"], ()))
        p = default_probability({**facts, "income": who["income"]}, recent)
        loans.append({**facts, "defaulted": "yes" if rng.random() < p else "no"})
    return loans, payments


def _customer(rng: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": f"c-{number:04d}",
        "income": round(math.exp(rng.gauss(7.8, 0.4)), 2),
        "age": rng.randint(-300, 900),  # below 0: the account is opened later
        "careless": rng.betavariate(1, 12),
    }


def _payments(
    rng: random.Random, customers: list[dict[str, Any]], end: datetime
) -> list[dict[str, Any]]:
    payments, moment, number = [], START - WARM_UP, 0
    while moment < end:
        moment += timedelta(seconds=max(1, round(rng.expovariate(PAYMENTS_A_DAY) * 86_400)))
        who = rng.choice(customers)
        told = moment + timedelta(seconds=round(rng.random() ** 2 * 3 * 86_400))
        kind = "bounced" if rng.random() < who["careless"] else "paid"
        payments.append(
            {
                "entity": who["id"],
                "id": f"p-{number}",
                "kind": kind,
                "happened_at": moment.isoformat(),
                "known_at": told.isoformat(),
                "values": {"amount": round(math.exp(rng.gauss(4, 1)), 2)},
            }
        )
        number += 1
    return payments


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes simulated loans with what became of them.")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a CSV file")
    parser.add_argument("--events", type=Path, required=True, help="a JSON Lines file")
    given = parser.parse_args()
    if given.rows < 1:
        parser.error("--rows must be 1 or more")
    loans, payments = simulate(given.rows, given.seed)
    for path, write in ((given.out, _write_loans), (given.events, _write_payments)):
        partial = path.with_name(path.name + ".part")
        write(partial, loans if path is given.out else payments)
        os.replace(partial, path)


def _write_loans(path: Path, loans: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(loans[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(loans)


def _write_payments(path: Path, payments: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(payment) + "\n" for payment in payments)


if __name__ == "__main__":
    main()
