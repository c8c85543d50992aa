"""Feature definitions that decisions share: written out where they are used, so that one text
says all of it and a release needs no other file.

    feature_files: [../features/payments.yaml]
    risk: {features: {amount: {use: payments.amount_log}}}
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from core.errors import InvalidDocument
from core.features import FeatureSpec
from core.spec.strict import Name, Sentence, Strict
from core.text_file import read_text
from core.yaml_source import parse_document

PAGE = "docs/how-to/entity-features.md"
FileName = Annotated[str, Field(min_length=1, max_length=300)]


class SharedFeatures(Strict):
    """A file of definitions. Its version and owner hold where a feature names none of its own."""

    name: Name
    version: int = Field(ge=1)
    owner: Sentence
    features: dict[Name, FeatureSpec] = Field(min_length=1)

    def written_out(self, feature: str) -> dict[str, Any]:
        own = self.features[feature].model_dump(mode="json", exclude_unset=True)
        return {"version": self.version, "owner": self.owner, **own}


class _Uses(BaseModel):
    """Only which files a decision names; the rest is read once they are written out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    feature_files: tuple[FileName, ...] = ()


def read_decision(folder: Path) -> str:
    """`folder`/decision.yaml with its shared features written out; each line keeps its number.

    Raises InvalidDocument for a file that is not there, lies too far away, or lacks a feature.
    """
    text = read_text(
        folder / "decision.yaml",
        way_out="Name a folder with a decision.yaml; `rung init` makes one.",
    )
    if "feature_files" not in text:
        return text
    files = parse_document(text, _Uses, "docs/reference/decision.md").feature_files
    shared = {}
    for name in files:
        read = parse_document(read_text(_within_reach(folder, name)), SharedFeatures, PAGE)
        if read.name in shared:
            raise _refused(f"two feature files have the name '{read.name}'", "Rename one.", None)
        shared[read.name] = read
    return _written_out(text, shared)


def _within_reach(folder: Path, name: str) -> Path:
    """Shared files lie beside the decisions of one repository, not anywhere on a machine."""
    top = folder.resolve().parent.parent
    path = (folder / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(top):
        raise _refused(
            f"the feature file '{name}' lies outside of what a decision may read",
            "Put it beside the decision's folder, such as ../features/payments.yaml.",
            None,
        )
    return path


def _written_out(text: str, shared: Mapping[str, SharedFeatures]) -> str:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)  # as _Uses has been read from it
    edits = []
    for key, value in root.value:
        if key.value == "feature_files":
            told = ", ".join(f"{part.name} {part.version}" for part in shared.values())
            edits.append((key.start_mark.index, _end(value), f"# features of {told}"))
    for node, used in _uses(root):
        line = node.start_mark.line + 1
        name, _, feature = used.partition(".")
        if name not in shared or feature not in shared[name].features:
            known = sorted(f"{n}.{f}" for n, part in shared.items() for f in part.features)
            raise _refused(
                f"there is no shared feature '{used}'", f"Use one of: {', '.join(known)}.", line
            )
        content = json.dumps(shared[name].written_out(feature), ensure_ascii=False)
        edits.append((node.start_mark.index, _end(node), content))
    for start, end, content in sorted(edits, reverse=True):
        lines = text.count("\n", start, end)  # kept, so that an error names the line of the file
        text = text[:start] + content + "\n" * lines + text[end:]
    return text


def _uses(root: yaml.Node) -> Iterator[tuple[yaml.MappingNode, str]]:
    """The definitions of risk.features that are `{use: file.feature}`."""
    features = _at(_at(root, "risk"), "features")
    for _, node in features.value if isinstance(features, yaml.MappingNode) else ():
        used = _at(node, "use")
        if isinstance(node, yaml.MappingNode) and isinstance(used, yaml.ScalarNode):
            if len(node.value) > 1:
                raise _refused(
                    "a feature that uses a shared one says nothing else",
                    "Remove its other keys, or define it here.",
                    node.start_mark.line + 1,
                )
            yield node, used.value


def _at(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    return None


def _end(node: yaml.Node) -> int:
    """Where the node's text ends; a block's own mark stands at what follows it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _refused(message: str, way_out: str, line: int | None) -> InvalidDocument:
    return InvalidDocument("RUNG-FEATURES-SHARED", message, way_out=way_out, line=line)
