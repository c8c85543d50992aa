"""A small decision by fields alone, and rows whose truth is known."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from core.calibration import sigmoid
from core.spec import DecisionSpec

FIELDS: dict[str, Any] = {
    "amount": {"type": "number", "min": 0, "missing": "unknown"},
    "age": {"type": "integer"},
    "channel": {"type": "category", "values": ["app", "web", "phone"], "missing": "unknown"},
    "customer": {"type": "text"},
}
FEATURES: dict[str, Any] = {
    "amount": {"kind": "log1p", "of": "amount"},
    "age": {"kind": "number", "of": "age"},
    "channel": {"kind": "category", "of": "channel"},
}


def table_spec(
    *, time: Any = None, label_delay_days: float = 0, fields: Any = None, **more: Any
) -> DecisionSpec:
    """`time` None: rows by their number. A field of type time must be among `fields`."""
    content: dict[str, Any] = {
        "name": "loans",
        "version": "1",
        "framing": {
            "event": "a customer asks for a small loan",
            "population": "customers with an open account",
            "target": "the loan is not paid back within 90 days of its end",
            "horizon_days": 90,
            "label_delay_days": label_delay_days,
            "kpi": {"name": "losses", "unit": "EUR a month", "better": "lower"},
            "owner": "credit team",
        },
        "request": {
            "time": time or {"row_number": True},
            "entity": "customer",
            "fields": {**FIELDS, **(fields or {})},
        },
        "outcomes": {"decline": "no loan is given", "grant": "the loan is given"},
        "costs": {
            "currency": "EUR",
            "error": 50,
            "wrong_answer": 50,
            "person": {"price": 30, "minutes": 0, "error_rate": 0},
            "matrix": [
                {"outcome": "grant", "truth": "decline", "cost": 100},
                {"outcome": "decline", "truth": "grant", "cost": 20},
            ],
        },
        "budgets": {
            "latency_p95_ms": 100,
            "deadline_ms": 1000,
            "throughput_per_s": 10,
            "price_per_decision": 0.1,
            "price_per_day": 10,
        },
        "slices": ["channel"],
        "risk": {
            "outcome": "decline",
            "otherwise": "grant",
            "label": "defaulted",
            "features": FEATURES,
        },
        **more,
    }
    return DecisionSpec.model_validate_json(json.dumps(content))


class TableWorld:
    """Rows as a snapshot gives them; `p` is the true probability of each."""

    def __init__(self, n: int = 3000, *, seed: int = 0, customers: int = 400) -> None:
        source = np.random.default_rng(seed)
        amount = np.exp(source.normal(5, 1, n))
        age = source.integers(18, 80, n)
        channel = source.integers(0, 3, n)
        logits = 1.5 * (np.log(amount) - 5) - 0.03 * (age - 50) + 2.0 * (channel == 1) - 1.5
        self.p: npt.NDArray[np.float64] = sigmoid(logits)
        labels = (source.random(n) < self.p).astype(int)
        whose = source.integers(0, customers, n)
        self._columns: dict[str, list[Any]] = {
            "amount": [
                None if lost else float(a)
                for a, lost in zip(amount, source.random(n) < 0.05, strict=True)
            ],
            "age": age.tolist(),
            "channel": [("app", "web", "phone")[c] for c in channel],
            "customer": [f"c{number}" for number in whose],
            "defaulted": labels.tolist(),
            "_seq": list(range(n)),
        }

    @property
    def rows(self) -> int:
        return len(self._columns["_seq"])

    def columns(self, names: Sequence[str]) -> dict[str, list[Any]]:
        return {name: list(self._columns[name]) for name in names}

    def put(self, name: str, values: Sequence[Any]) -> None:
        self._columns[name] = list(values)
