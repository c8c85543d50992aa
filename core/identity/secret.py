"""The server's secret: made once, readable by its owner only, the same for every process."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from pydantic import SecretStr

from core.errors import InvalidSettings


def read_or_make_secret(path: Path) -> SecretStr:
    """Raises InvalidSettings where others may read the file or it holds no secret."""
    try:
        if not path.exists():
            _make(path)
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        raise InvalidSettings(
            "RUNG-SECRET-FILE",
            f"the secret {path} cannot be read or made ({type(error).__name__})",
            way_out="Make its folder writable for this user, or set RUNG_SECRET.",
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise InvalidSettings(
            "RUNG-SECRET-FILE",
            f"the secret {path} may be read by others",
            way_out=f"Run chmod 600 {path}, or set RUNG_SECRET.",
        )
    if len(text) < 32:
        raise InvalidSettings(
            "RUNG-SECRET-FILE",
            f"the secret {path} is cut short",
            way_out="Restore it from a copy; without it every API key has to be made again.",
        )
    return SecretStr(text)


def _make(path: Path) -> None:
    """Linking a finished file into place: of two processes one wins, and none reads a half."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # made with mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass  # the other process was first; its secret is read
    finally:
        temporary.unlink(missing_ok=True)
