"""API keys: shown once, kept only as a keyed hash, and refused without a look-up when malformed.

rung_<prefix>_<random>_<checksum>
     public, names the row   32 letters and digits, 190 bits   CRC-32 of all before it
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from pydantic import SecretStr

from core.errors import InvalidRequest, Unauthorized

Scope = Literal["decide", "read", "feedback", "review", "events", "jobs"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MAX_LENGTH = 100  # a presented key is measured before it is read

_ALPHABET = string.ascii_letters + string.digits
_FORM = re.compile(r"(rung_([A-Za-z0-9]{10})_[A-Za-z0-9]{32})_([0-9a-f]{8})\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """Who a request comes from, and what that key may do."""

    tenant_id: str
    key_id: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyInfo:
    """A key as it may be listed: nothing in it opens a door."""

    id: str
    tenant_id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def new_key() -> tuple[str, str]:
    """The key's id, which is its prefix, and the key itself."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    body = f"rung_{key_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return key_id, f"{body}_{_checksum(body)}"


def key_id_of(presented: str) -> str:
    """The id of a well-formed key. Raises Unauthorized otherwise."""
    found = _FORM.match(presented) if len(presented) <= MAX_LENGTH else None
    if found is None or found[3] != _checksum(found[1]):
        raise refused_key()
    return found[2]


def mac_of(key: str, secret: SecretStr) -> str:
    """What is stored. The label keeps it apart from the secret's other uses."""
    message = b"rung api key 1\0" + key.encode("utf-8", "surrogatepass")
    return hmac.new(secret.get_secret_value().encode(), message, hashlib.sha256).hexdigest()


def same_mac(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def admitted_scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    """Raises InvalidRequest for a scope that does not exist, and for none at all."""
    wanted = set(scopes)
    strange = sorted(str(scope) for scope in wanted - set(SCOPES))
    if strange or not wanted:
        shown = strange[0][:40].encode("ascii", "backslashreplace").decode() if strange else ""
        raise InvalidRequest(
            "RUNG-KEY-SCOPE",
            f"there is no scope '{shown}'" if strange else "a key needs a scope",
            way_out=f"Choose among: {', '.join(SCOPES)}.",
        )
    return granted(wanted)


def granted(scopes: Iterable[str]) -> frozenset[Scope]:
    """What a stored key may do; a scope that does not exist allows nothing."""
    return frozenset(scope for scope in SCOPES if scope in set(scopes))


def refused_key() -> Unauthorized:
    """One refusal for a malformed, unknown or revoked key: it tells a stranger nothing."""
    return Unauthorized(
        "RUNG-KEY-INVALID",
        "the API key is missing, malformed, unknown or revoked",
        way_out="Send Authorization: Bearer <key>; `rung key create` makes one.",
    )


def expired_key() -> Unauthorized:
    return Unauthorized(
        "RUNG-KEY-EXPIRED",
        "the API key has expired",
        way_out="Make a new one with `rung key create`.",
    )


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
