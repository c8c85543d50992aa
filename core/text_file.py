"""A text file that somebody named, or a clear refusal."""

from pathlib import Path

from core.errors import InvalidDocument


def read_text(path: Path, *, way_out: str = "Name an existing UTF-8 text file.") -> str:
    """Raises InvalidDocument where it is absent, unreadable or not UTF-8."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeError, ValueError) as error:
        raise InvalidDocument(
            "RUNG-FILE-READ",
            f"{path} cannot be read ({error.__class__.__name__})",
            way_out=way_out,
        ) from error
