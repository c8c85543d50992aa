"""What a process that runs on its own logs to stderr: when, how grave, which part says it, what."""

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME = "%Y-%m-%dT%H:%M:%S%z"


def log_lines(level: str) -> None:
    """Rung's own from `level` on, libraries' from `warning` on at the earliest: an HTTP client's
    lines hold addresses, and some providers have the key in theirs."""
    own = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(format=FORMAT, datefmt=TIME, level=max(own, logging.WARNING))
    logging.getLogger("rung").setLevel(own)
