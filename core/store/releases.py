"""Which release of a decision is live: a log that is only added to, so a rollback is an entry."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from core.errors import InvalidRequest, NotFound
from core.store.base import Base
from core.store.tables import releases


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """`who` and `reason` are None where training made it live."""

    digest: str
    registered_at: datetime
    who: str | None
    reason: str | None


def unknown_decision(name: str, live: Iterable[str]) -> NotFound:
    return NotFound(
        "RUNG-DECISION-UNKNOWN",
        f"there is no decision '{name}' of this tenant",
        way_out=f"Train it with `rung train`. Live: {', '.join(live) or 'none'}.",
    )


class Releases(Base):
    def register_release(self, tenant_id: str, name: str, digest: str) -> None:
        """Makes it live at once, without a version that says what it is worth."""
        if not tenant_id or not name or not digest:
            raise InvalidRequest(
                "RUNG-RELEASE-FORM",
                "a release has a tenant, a decision's name and a digest",
                way_out="Train the decision; training registers what it made.",
            )
        with self.writing() as connection:
            connection.execute(
                releases.insert().values(
                    tenant_id=tenant_id, name=name, digest=digest, registered_at=self.now()
                )
            )

    def live_release(self, tenant_id: str, name: str) -> str | None:
        """Its digest; None before the first."""
        mine = (releases.c.tenant_id == tenant_id) & (releases.c.name == name)
        newest = select(releases.c.digest).where(mine).order_by(releases.c.seq.desc()).limit(1)
        with self.reading() as connection:
            return connection.execute(newest).scalar()

    def release_in_force(self, tenant_id: str, name: str) -> str:
        """Its digest. Raises NotFound, which names those that are live."""
        digest = self.live_release(tenant_id, name)
        if digest is None:
            raise unknown_decision(name, self.decision_names(tenant_id))
        return digest

    def promotions(self, tenant_id: str, name: str) -> tuple[Promotion, ...]:
        """Whatever was ever made live, the newest first."""
        log = select(releases.c.digest, releases.c.registered_at, releases.c.who, releases.c.reason)
        mine = (releases.c.tenant_id == tenant_id) & (releases.c.name == name)
        with self.reading() as connection:
            rows = connection.execute(log.where(mine).order_by(releases.c.seq.desc()))
            return tuple(Promotion(**row._mapping) for row in rows)

    def decision_names(self, tenant_id: str) -> tuple[str, ...]:
        """The decisions of this tenant that have a release, in alphabetical order."""
        names = select(releases.c.name).where(releases.c.tenant_id == tenant_id).distinct()
        with self.reading() as connection:
            return tuple(sorted(connection.execute(names).scalars()))

    def live_decisions(self) -> tuple[tuple[str, str], ...]:
        """(tenant, decision) of every live release, for a process that serves all tenants."""
        pairs = select(releases.c.tenant_id, releases.c.name).distinct()
        with self.reading() as connection:
            return tuple(sorted((row.tenant_id, row.name) for row in connection.execute(pairs)))
