"""The name that an entity has in the store: the same id gives the same one, and no way back."""

import hashlib
import hmac
from collections.abc import Iterable

from pydantic import SecretStr


def pseudonym(secret: SecretStr, tenant_id: str, entity: str) -> str:
    """24 hexadecimal digits (96 bits).

    Keyed, so that whoever reads the store cannot try out every customer's number.
    """
    return pseudonyms(secret, tenant_id, [entity])[0]


def pseudonyms(secret: SecretStr, tenant_id: str, entities: Iterable[str]) -> list[str]:
    """Of each, in their order; what is the same for all is hashed once."""
    key = secret.get_secret_value().encode()
    start = hmac.new(key, f"entity\0{tenant_id}\0".encode(), hashlib.sha256)
    named = []
    for entity in entities:
        own = start.copy()
        own.update(entity.encode())
        named.append(own.hexdigest()[:24])
    return named
