"""A schema names all that a feature means; what has come to mean another thing is refused."""

import pytest

from core import feature_schema
from core.errors import CorruptArtifact
from core.feature_schema import KIND_VERSIONS, digest, refuse_other, schema_of, to_bytes
from core.features import KINDS, FeatureSpec, compute
from core.features import digest as row_digest
from core.spec import parse_spec
from tests.fakes.entity_decision import DECISION

SPEC = parse_spec(DECISION)

# What version 1 of each kind gives for the rows below. Where a kind comes to compute another
# value, its number in KIND_VERSIONS rises and this digest is another one; neither goes alone.
ROWS = [
    {"n": 12.5, "m": -4.0, "t": "2026-03-02T01:30:00+02:00", "c": "fr", "d": "de", "s": "straße"},
    {"n": -3e-7, "m": 0.0, "t": "1999-12-31T23:59:59.999999-08:00", "c": "de", "d": "de", "s": " "},
    {"n": None, "m": None, "t": None, "c": None, "d": None, "s": None},
]
OF = {
    "number": "n",
    "log1p": "n",
    "missing": "n",
    "hour": "t",
    "weekday": "t",
    "length": "s",
    "ratio": ("n", "m"),
    "differs": ("c", "d"),
    "category": "c",
}
GIVEN = {
    ("number", 1): "61fe6dc580971f59",
    ("log1p", 1): "c2d0bdc49bf59697",
    ("missing", 1): "7a939feb59f2cc2f",
    ("hour", 1): "cfc7824774f699a5",
    ("weekday", 1): "51e189aef88b6e83",
    ("length", 1): "e832dd0fccdda491",
    ("ratio", 1): "591cb244fb0ab32c",
    ("differs", 1): "49e23f64c128a105",
    ("category", 1): "49e23f64c128a105",
}


def given(kind: str) -> str:
    features = {"x": FeatureSpec.model_validate({"kind": kind, "of": OF[kind]})}
    column = compute(features, ROWS, {"c": ("de", "fr")})  # type: ignore[arg-type]
    return row_digest(["x"], column)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_computes_what_its_version_did(kind: str) -> None:
    assert given(kind) == GIVEN[kind, KIND_VERSIONS[kind]]


CHANGES = {
    "another order of a category's values": ("[fr, de, nl]", "[de, fr, nl]"),
    "another null policy": (
        "tries: {type: integer, min: 0, max: 9, missing: unknown}",
        "tries: {type: integer, min: 0, max: 9}",
    ),
    "another policy for unseen values": (", unseen: unknown}", "}"),
    "another version": ("version: 3, owner", "version: 4, owner"),
    "another owner": ("version: 3, owner: risk-team", "version: 3, owner: fraud-team"),
    "another kind": ("size: {kind: log1p", "size: {kind: number"),
    "another source": ("hour: {kind: hour, of: ordered_at}", "hour: {kind: hour, of: opened_at}"),
    "another window": ("of: amount, days: 7}", "of: amount, days: 8}"),
    "another limit of freshness": ("fresh_within_hours: 48", "fresh_within_hours: 24"),
    "another order of columns": (
        "    amount: {kind: number, of: amount}\n    size: {kind: log1p, of: amount}\n",
        "    size: {kind: log1p, of: amount}\n    amount: {kind: number, of: amount}\n",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_meaning_is_another_schema(change: str) -> None:
    old, new = CHANGES[change]
    assert DECISION.count(old) == 1
    other = parse_spec(DECISION.replace(old, new))
    assert digest(schema_of(other)) != digest(schema_of(SPEC))
    with pytest.raises(CorruptArtifact) as caught:
        refuse_other(to_bytes(schema_of(SPEC)), other)
    assert caught.value.code == "RUNG-FEATURES-SCHEMA"


def test_what_no_feature_reads_is_no_part_of_it() -> None:
    other = parse_spec(DECISION.replace("max_length: 200", "max_length: 300"))
    assert digest(schema_of(other)) == digest(schema_of(SPEC))


def test_other_code_than_the_one_it_was_fitted_with(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = to_bytes(schema_of(SPEC))
    refuse_other(stored, SPEC)
    monkeypatch.setitem(feature_schema.KIND_VERSIONS, "log1p", 2)
    with pytest.raises(CorruptArtifact, match="features differ"):
        refuse_other(stored, SPEC)


@pytest.mark.parametrize("stored", [None, b"", b"[]", b"{", b'{"format": 0}'])
def test_a_release_that_does_not_say_is_refused(stored: bytes | None) -> None:
    with pytest.raises(CorruptArtifact):
        refuse_other(stored, SPEC)
