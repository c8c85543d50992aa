"""`rung init`: a decision's folder to start from."""

import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.told import AsJson, errors_told, tell

TEMPLATE = Path(__file__).parents[1] / "template"


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    as_json: AsJson = False,
) -> None:
    """Make a small decision that `rung check` accepts, to be changed into your own."""
    with errors_told(as_json):
        from core.errors import InvalidDocument

        try:
            shutil.copytree(TEMPLATE, folder)
            written = folder / "decision.yaml"
            text = written.read_text("utf-8")
            written.write_text(text.replace("name: my_decision", f"name: {_name(folder)}"), "utf-8")
        except OSError as error:
            raise InvalidDocument(
                "RUNG-FILE-WRITE",
                f"{folder} cannot be made ({error.__class__.__name__})",
                way_out="Name a folder that does not exist yet, where you may write.",
            ) from error
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    told = {"folder": str(folder), "files": files}
    tell(told, as_json, lambda: _readable(folder, files))


def _name(folder: Path) -> str:
    """A decision is known by its name, so two folders must not begin with the same one."""
    letters = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_")[:60]
    return letters if letters[:1].isalpha() else f"d_{letters}".rstrip("_")


def _readable(folder: Path, files: list[str]) -> str:
    lines = [f"{folder}:", *(f"  {name}" for name in files), "", "next:"]
    lines.append(f"  rung check {folder}")
    lines.append(f"  rung train {folder} --data rows.jsonl   # past requests and their outcomes")
    return "\n".join(lines)
