"""Thin idempotent tasks over the job ledger; knows no HTTP."""
