"""`rung init`: a decision's folder to start from, by a template or drafted from a table."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from cli.told import AsJson, errors_told, progress_told, tell

TEMPLATE = Path(__file__).parents[1] / "template"
QUESTION = "# QUESTION:"


def init(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet.")],
    table: Annotated[
        Path | None,
        typer.Option("--from", help="A table to draft from: CSV (also .gz), JSON Lines, Parquet."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Its column that says what came true.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The label's value for the rows in question.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a small decision that `rung check` accepts, to be changed into your own."""
    with errors_told(as_json):
        if table is None and label is None and positive is None:
            _make(folder, None)
        else:
            _make(folder, _drafted(_name(folder), table, label, positive))
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    questions = (folder / "decision.yaml").read_text("utf-8").count(QUESTION)
    told = {"folder": str(folder), "files": files, "questions": questions}
    tell(told, as_json, lambda: "\n".join(_readable(told, table)))


def _make(folder: Path, files: Mapping[str, str] | None) -> None:
    """The template, or these files: whole or not at all."""
    from core.errors import InvalidDocument

    try:
        if folder.exists():
            raise FileExistsError
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".rung-init-") as beside:
            made = Path(beside) / "made"
            if files is None:
                shutil.copytree(TEMPLATE, made)
                written = made / "decision.yaml"
                text = written.read_text("utf-8")
                renamed = text.replace("name: my_decision", f"name: {_name(folder)}")
                written.write_text(renamed, "utf-8")
            else:
                made.mkdir()
                for name, text in files.items():
                    (made / name).write_text(text, "utf-8")
            made.rename(folder)
    except OSError as error:
        raise InvalidDocument(
            "RUNG-FILE-WRITE",
            f"{folder} cannot be made ({error.__class__.__name__})",
            way_out="Name a folder that does not exist yet, where you may write.",
        ) from error


def _drafted(
    name: str, table: Path | None, label: str | None, positive: str | None
) -> dict[str, str]:
    from core.errors import InvalidRequest
    from lab.draft_spec import RULES, draft

    if table is None or label is None:
        raise InvalidRequest(
            "RUNG-INIT-LABEL",
            "a draft is made from a table and the column that says what came true",
            way_out="Write `rung init NAME --from data.csv --label COLUMN`.",
        )
    with progress_told() as progress:
        text = draft(table, name, label=label, positive=positive, progress=progress)
    return {"decision.yaml": text, "rules.yaml": RULES}


def _name(folder: Path) -> str:
    """A decision is known by its name, so two folders must not begin with the same one."""
    letters = re.sub(r"[^a-z0-9]+", "_", folder.absolute().name.lower()).strip("_")[:60]
    return letters if letters[:1].isalpha() else f"d_{letters}".rstrip("_")


def _readable(told: dict[str, Any], table: Path | None) -> list[str]:
    folder = told["folder"]
    lines = [f"{folder}:", *(f"  {name}" for name in told["files"]), ""]
    if table is None:
        lines += ["next:", f"  rung check {folder}"]
        lines.append(
            f"  rung train {folder} --data rows.jsonl   # past requests and their outcomes"
        )
        return lines
    lines.append(f"decision.yaml asks {told['questions']} questions that a table cannot answer.")
    lines += ["next:", f"  grep -n QUESTION {folder}/decision.yaml {folder}/rules.yaml"]
    lines.append(f"  rung check {folder} --data {table}   # leaks first of all")
    lines += [f"  rung snapshot {folder} {table}", f"  rung train {folder} --data {table}"]
    return lines
