"""Cuts rows by time into fit, validation and test, and leaves out what was not known by then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.errors import InvalidDocument
from core.spec import DecisionSpec, RowNumber
from lab.evaluation import SplitReport

FIT_SHARE, VALIDATION_SHARE = 0.6, 0.2  # the last fifth is scored once
DAY = 86_400_000_000  # microseconds
Places = npt.NDArray[np.intp]
Moments = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Places of the rows of each part; `embargoed` are in none. `cuts` are told to people."""

    kind: Literal["temporal", "random", "given"]
    fit: Places
    validation: Places
    test: Places
    embargoed: int
    cuts: tuple[str, ...]

    def told(self, base_rate: Mapping[str, float] | None = None) -> SplitReport:
        return SplitReport(
            kind=self.kind,
            fit=len(self.fit),
            validation=len(self.validation),
            test=len(self.test),
            embargoed=self.embargoed,
            cuts=self.cuts,
            base_rate=dict(base_rate or {}),
        )


def split_rows(
    spec: DecisionSpec, rows: int, times: Moments | None, *, kind: str = "temporal", seed: int = 0
) -> Split:
    """`times` are microseconds since 1970, rising; None where rows go by their number.

    A row is fitted on only if its label was known when the next part began: `label_delay_days`
    (or `label_delay_rows`) lie between. Raises InvalidDocument where a part would be empty.
    """
    if kind == "random":
        return _random(rows, seed)
    if spec.request.time is None:
        raise InvalidDocument(
            "RUNG-SPLIT-TIME",
            "decision.yaml does not say in which order of time the rows stand",
            way_out="Declare request.time (a field, or row_number), or ask for a random split.",
        )
    if times is None:
        return _by_time(np.arange(rows, dtype=np.int64), delay_rows(spec), str)
    delay = round(spec.framing.label_delay_days * DAY)
    return _by_time(times, delay, _told)


def delay_rows(spec: DecisionSpec) -> int:
    """After how many rows a label is known, where rows go by their number."""
    time = spec.request.time
    return (time.label_delay_rows or 0) if isinstance(time, RowNumber) else 0


def all_given(rows: int) -> Split:
    """Nothing is fitted: every row is judged."""
    none = np.empty(0, dtype=np.intp)
    return Split(
        kind="given", fit=none, validation=none, test=np.arange(rows), embargoed=0, cuts=()
    )


def moments_of(times: Sequence[str]) -> Moments:
    """Microseconds since 1970 of ISO 8601 times with a zone."""
    epoch, tick = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    return np.array([(datetime.fromisoformat(t) - epoch) // tick for t in times], dtype=np.int64)


def _random(rows: int, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(rows)
    first, second = _ends(rows)
    parts = [np.sort(part) for part in np.split(order, [first, second])]
    return Split(
        kind="random", fit=parts[0], validation=parts[1], test=parts[2], embargoed=0, cuts=()
    )


def _ends(rows: int) -> tuple[int, int]:
    return round(rows * FIT_SHARE), round(rows * (FIT_SHARE + VALIDATION_SHARE))


def _by_time(moments: Moments, delay: int, told: Callable[[int], str]) -> Split:
    rows = len(moments)
    # Rows of one moment stay together: a cut between them would be by chance.
    starts = [int(np.searchsorted(moments, moments[end])) for end in _ends(rows) if end < rows]
    if len(starts) < 2 or not 0 < starts[0] < starts[1]:
        raise _too_few(rows)
    first, second = starts
    places = np.arange(rows)
    fit = places[:first][moments[:first] + delay <= moments[first]]
    validation = places[first:second][moments[first:second] + delay <= moments[second]]
    if not len(fit) or not len(validation):
        raise _too_few(rows)
    return Split(
        kind="temporal",
        fit=fit,
        validation=validation,
        test=places[second:],
        embargoed=second - len(fit) - len(validation),
        cuts=(told(int(moments[first])), told(int(moments[second]))),
    )


def _told(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="seconds")


def _too_few(rows: int) -> InvalidDocument:
    return InvalidDocument(
        "RUNG-SPLIT-EMPTY",
        f"{rows} rows leave a part of the split without a row whose label was known in time",
        way_out="Bring rows over a longer time, or correct framing.label_delay_days.",
    )
