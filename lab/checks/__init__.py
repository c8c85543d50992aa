"""Leakage and data checks: what a snapshot would teach a model that no request can tell it."""

from lab.checks.result import Check, CheckResult
from lab.checks.run import CHECKS, run_checks

__all__ = ["CHECKS", "Check", "CheckResult", "run_checks"]
