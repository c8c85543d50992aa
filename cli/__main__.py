"""`python -m cli` is `rung`, for a process that starts another of the same installation."""

from cli.main import app

app()
