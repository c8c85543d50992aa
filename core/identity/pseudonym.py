"""The name that an entity has in the store: the same id gives the same one, and no way back."""

import hashlib
import hmac

from pydantic import SecretStr


def pseudonym(secret: SecretStr, tenant_id: str, entity: str) -> str:
    """24 hexadecimal digits (96 bits).

    Keyed, so that whoever reads the store cannot try out every customer's number.
    """
    content = f"entity\0{tenant_id}\0{entity}".encode()
    return hmac.new(secret.get_secret_value().encode(), content, hashlib.sha256).hexdigest()[:24]
