"""Pseudonyms: keyed, of their tenant, and the same one by one and many at once."""

import hashlib
import hmac

from pydantic import SecretStr

from core.identity.pseudonym import pseudonym, pseudonyms

SECRET = SecretStr("a secret of the server")


def test_many_are_each_the_hmac_of_its_own() -> None:
    ids = ["c-1", "c-2", "", "ünï", "c-1"]
    named = pseudonyms(SECRET, "acme", ids)
    for entity, name in zip(ids, named, strict=True):
        content = f"entity\0acme\0{entity}".encode()
        told = hmac.new(SECRET.get_secret_value().encode(), content, hashlib.sha256).hexdigest()
        assert name == pseudonym(SECRET, "acme", entity) == told[:24]
    assert len(set(named)) == 4
    assert not set(named) & set(pseudonyms(SECRET, "other", ids))
