"""Run as a script: computes features under another clock, for `lab.checks.determinism`.

Reads one JSON object from standard input; the last line that it writes is the matrix in base64.
"""

import datetime
import json
import sys
import time
from base64 import b64encode
from importlib import import_module
from typing import Any


def main() -> None:
    asked = json.load(sys.stdin)
    _put_clock_ahead(asked["later"])  # before anything takes a name of `time` or `datetime`
    import numpy as np

    from core.features import FeatureSpec

    compute: Any = import_module(asked["module"])
    for part in asked["name"].split("."):
        compute = getattr(compute, part)
    features = {name: FeatureSpec.model_validate(one) for name, one in asked["features"].items()}
    matrix = compute(features, asked["columns"], asked["rows"], asked["categories"])
    content = np.ascontiguousarray(matrix, dtype="<f8").tobytes()
    sys.stdout.write("\n" + b64encode(content).decode() + "\n")


def _put_clock_ahead(seconds: float) -> None:
    own, own_ns, true = time.time, time.time_ns, datetime.datetime

    class Ahead(true):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now(datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    time.time = lambda: own() + seconds
    time.time_ns = lambda: own_ns() + int(seconds * 1e9)
    datetime.datetime = Ahead  # type: ignore[misc]


if __name__ == "__main__":
    main()
