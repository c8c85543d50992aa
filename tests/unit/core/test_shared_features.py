"""Shared definitions are written out where they are used, and each line keeps its number."""

from pathlib import Path

import pytest

from core.errors import InvalidDocument
from core.spec import load_spec, parse_spec, read_decision
from tests.fakes.entity_decision import DECISION

SHARED = """
name: payments
version: 4
owner: the payments team
features:
  amount_log: {kind: log1p, of: amount, meaning: "its size; a \\"log\\""}
  relative: {kind: ratio, of: [amount, usual_amount], version: 9, owner: somebody}
"""


def decision(tmp_path: Path, old: str = "", new: str = "", files: str = "") -> Path:
    """A folder in `decisions`, beside a folder `features`."""
    folder = tmp_path / "top" / "decisions" / "transfers"
    folder.mkdir(parents=True)
    shared = tmp_path / "top" / "features"
    shared.mkdir()
    (shared / "payments.yaml").write_text(SHARED)
    files = files or "feature_files: [../../features/payments.yaml]  # shared"
    text = f"{files}\n{DECISION.replace(old, new) if old else DECISION}"
    (folder / "decision.yaml").write_text(text)
    return folder


SIZE = "    size: {kind: log1p, of: amount}\n"
RELATIVE = "    relative: {kind: ratio, of: [amount, usual_amount]}\n"


def test_written_out(tmp_path: Path) -> None:
    folder = decision(
        tmp_path,
        SIZE + RELATIVE,
        "    size: {use: payments.amount_log}  # of the team\n"
        "    relative:\n      use: payments.relative # own version\n",
    )
    text = read_decision(folder)
    before = (folder / "decision.yaml").read_text().splitlines()
    assert [line for line in before if "use:" not in line and "feature_files" not in line] == [
        line for line in text.splitlines() if line in before
    ]
    assert len(text.splitlines()) == len(before)
    spec = parse_spec(text)  # alone: a release needs no other file
    assert spec == load_spec(folder) and spec.risk
    size, relative = spec.risk.features["size"], spec.risk.features["relative"]
    assert (size.kind, size.of, size.version) == ("log1p", "amount", 4)
    assert (size.owner, size.meaning) == ("the payments team", 'its size; a "log"')
    assert (relative.version, relative.owner) == (9, "somebody")


def test_an_error_names_the_line_of_the_file(tmp_path: Path) -> None:
    folder = decision(
        tmp_path,
        SIZE,
        "    size: {use: payments.amount_log}\n",
        "feature_files:\n  - ../../features/payments.yaml",
    )
    path = folder / "decision.yaml"
    path.write_text(
        path.read_text().replace("{kind: length, of: purpose}", "{kind: size, of: purpose}")
    )
    line = path.read_text().splitlines().index("    words: {kind: size, of: purpose}") + 1
    with pytest.raises(InvalidDocument) as caught:
        load_spec(folder)
    assert caught.value.line == line


def test_without_shared_files_nothing_is_rewritten(tmp_path: Path) -> None:
    (tmp_path / "decision.yaml").write_text(DECISION)
    assert read_decision(tmp_path) == DECISION


@pytest.mark.parametrize(
    ("use", "told"),
    [
        ("{use: payments.other}", "no shared feature 'payments.other'"),
        ("{use: cards.amount_log}", "no shared feature"),
        ("{use: amount_log}", "no shared feature"),
        ("{use: payments.amount_log, version: 2}", "says nothing else"),
    ],
)
def test_what_is_not_shared(tmp_path: Path, use: str, told: str) -> None:
    folder = decision(tmp_path, SIZE, f"    size: {use}\n")
    with pytest.raises(InvalidDocument, match=told) as caught:
        load_spec(folder)
    assert caught.value.code == "RUNG-FEATURES-SHARED"
    lines = (folder / "decision.yaml").read_text().splitlines()
    assert caught.value.line == lines.index(f"    size: {use}") + 1


@pytest.mark.parametrize("path", ["../../../outside.yaml", "/etc/hostname", "../../link.yaml"])
def test_files_of_elsewhere_are_refused(tmp_path: Path, path: str) -> None:
    folder = decision(tmp_path, files=f"feature_files: [{path}]")
    (tmp_path / "outside.yaml").write_text(SHARED)
    (tmp_path / "top" / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    with pytest.raises(InvalidDocument) as caught:
        load_spec(folder)
    assert caught.value.code == "RUNG-FEATURES-SHARED"


def test_files_that_are_none(tmp_path: Path) -> None:
    folder = decision(tmp_path, files="feature_files: [../../features/none.yaml]")
    with pytest.raises(InvalidDocument) as caught:
        load_spec(folder)
    assert caught.value.code == "RUNG-FILE-READ"
    path = tmp_path / "top/features/none.yaml"
    path.write_text(SHARED.replace("owner: the payments team\n", ""))
    with pytest.raises(InvalidDocument, match="owner"):
        load_spec(folder)
