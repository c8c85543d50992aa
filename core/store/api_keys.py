"""API keys as keyed hashes: what the table holds opens nothing."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Row, func, select, update

from core.errors import Conflict, InvalidRequest, InvalidSettings, NotFound
from core.identity.keys import (
    KeyInfo,
    Principal,
    admitted_scopes,
    expired_key,
    granted,
    key_id_of,
    mac_of,
    new_key,
    refused_key,
    same_mac,
)
from core.store.base import Base
from core.store.tables import api_keys

LIVE_AT_ONCE = 2  # the old one and the new one, while callers change over
_NOBODY = "0" * 64


class ApiKeys(Base):
    def create_key(
        self,
        tenant_id: str,
        name: str,
        scopes: Iterable[str],
        expires_at: datetime | None = None,
    ) -> str:
        """The key, which is shown this once. Two of the same name may be live, for rotation."""
        wanted, now, secret = admitted_scopes(scopes), self.now(), self._key_secret()
        if not name.strip() or (expires_at is not None and expires_at <= now):
            raise InvalidRequest(
                "RUNG-KEY-FORM",
                "a key needs a name, and an expiry that lies ahead",
                way_out="Name who uses it, and give a later time or none.",
            )
        key_id, key = new_key()
        with self.writing() as connection:
            alike = (api_keys.c.tenant_id == tenant_id) & (api_keys.c.name == name) & _live(now)
            counting = select(func.count()).select_from(api_keys).where(alike)
            if connection.execute(counting).scalar_one() >= LIVE_AT_ONCE:
                raise Conflict(
                    "RUNG-KEY-ROTATION",
                    f"{LIVE_AT_ONCE} keys of this name are live already",
                    way_out="Revoke the older one first.",
                )
            connection.execute(
                api_keys.insert().values(
                    id=key_id,
                    tenant_id=tenant_id,
                    name=name,
                    mac=mac_of(key, secret),
                    scopes=sorted(wanted),
                    created_at=now,
                    expires_at=expires_at,
                )
            )
        return key

    def verify_key(self, presented: str) -> Principal:
        """Raises Unauthorized. A malformed key costs no look-up."""
        key_id = key_id_of(presented)
        mac = mac_of(presented, self._key_secret())
        with self.reading() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        # Compared even where there is no row: an unknown prefix takes as long as a wrong key.
        same = same_mac(mac, row.mac if row else _NOBODY)
        if row is None or not same or row.revoked_at is not None:
            raise refused_key()
        if row.expires_at is not None and row.expires_at <= self.now():
            raise expired_key()
        return Principal(tenant_id=row.tenant_id, key_id=row.id, scopes=granted(row.scopes))

    def revoke_key(self, tenant_id: str, key_id: str) -> None:
        """At once and for good; revoking twice changes nothing. Raises NotFound."""
        with self.writing() as connection:
            mine = (api_keys.c.tenant_id == tenant_id) & (api_keys.c.id == key_id)
            if connection.execute(select(api_keys.c.id).where(mine)).first() is None:
                raise NotFound(
                    "RUNG-KEY-UNKNOWN",
                    "there is no such key",
                    way_out="`rung key list` shows the ids.",
                )
            unrevoked = mine & api_keys.c.revoked_at.is_(None)
            connection.execute(update(api_keys).where(unrevoked).values(revoked_at=self.now()))

    def list_keys(self, tenant_id: str) -> tuple[KeyInfo, ...]:
        """Oldest first."""
        statement = select(api_keys).where(api_keys.c.tenant_id == tenant_id)
        with self.reading() as connection:
            rows = connection.execute(statement.order_by(api_keys.c.created_at, api_keys.c.id))
            return tuple(_info(row) for row in rows)

    def _key_secret(self) -> SecretStr:
        if self._secret is None:
            raise InvalidSettings(
                "RUNG-SECRET-MISSING",
                "API keys need the server's secret, and this store was opened without one",
                way_out="Open it with Settings.secret.",
            )
        return self._secret


def _live(now: datetime) -> ColumnElement[bool]:
    unexpired = api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > now)
    return api_keys.c.revoked_at.is_(None) & unexpired


def _info(row: Row[Any]) -> KeyInfo:
    return KeyInfo(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        scopes=granted(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
