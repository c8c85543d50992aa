"""What this process counts for Prometheus.

No label takes a value that a caller can invent, and none names a tenant or what it decides:
whoever holds any key may read all of it.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.contracts import Decision

METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
UNMATCHED = "unmatched"  # every path without a route shares one label
# From a rule's two milliseconds to the longest deadline that a decision may have.
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 120)


class Metrics:
    """A registry of its own for each app, so that two of them do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "rung_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "rung_http_request_seconds",
            "From the request's head to the answer's end.",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._decisions = Counter(
            "rung_decisions",
            "Decisions made, by the rung that answered.",
            ("rung",),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "rung_http_in_flight", "Admitted requests without an answer.", registry=self.registry
        )
        self.shed = Counter(
            "rung_http_shed", "Requests refused for overload.", registry=self.registry
        )
        self.faults = Counter(
            "rung_http_faults", "Errors of ours, each in the log.", registry=self.registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def decided(self, decision: Decision) -> None:
        self._decisions.labels(decision.rung).inc()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
