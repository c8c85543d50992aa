"""Every trained version of a decision: what it was made of, and whether it may go live."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, select, update

from core.contracts import Json
from core.errors import Conflict, InvalidRequest
from core.prefix import ByPrefix
from core.store.base import Base, insert_new
from core.store.tables import releases, versions

State = Literal["registered", "refused"]
_ID = re.compile(r"[0-9a-f]{64}\Z")
_NAMED = ByPrefix(
    thing="version",
    listed_by="rung registry list",
    unknown="RUNG-VERSION-ID",
    ambiguous="RUNG-VERSION-AMBIGUOUS",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewVersion:
    """`id` is the digest of lineage and artifact. `step` is the one that the gate registered.

    `artifact` and `evaluation` are ids of stored artifacts. `reasons` say why it is refused, each
    as an error says it: code, message, way_out. `trial`: let in by a home that is for trying out.
    """

    id: str
    decision: str
    step: str
    artifact: str
    evaluation: str | None
    lineage: Mapping[str, Json]
    reasons: tuple[Mapping[str, str], ...] = ()
    trial: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Version(NewVersion):
    """`seq` grows with time; `promoted_at` is when it last went live, None where it never did."""

    seq: int
    state: State
    promoted_at: datetime | None
    created_at: datetime


class Registry(Base):
    def register_version(
        self,
        tenant_id: str,
        new: NewVersion,
        *,
        promote: bool,
        also: Callable[[Connection], None] | None = None,
    ) -> Version:
        """The row and, where it is promoted, its release and what `also` writes (the indexes that
        it was judged with), in one transaction.

        The artifacts are stored before, so that a version is whole or absent. The same version
        again is the same row; what was refused may become registered, and never the other way.
        Raises InvalidRequest for a form that is not a version's, Conflict where what is refused
        or was not evaluated is to be promoted.
        """
        _refuse_form(tenant_id, new)
        if promote:
            _refuse_promotion(new)
        now = self.now()
        with self.writing() as connection:
            if not insert_new(connection, versions, _row(tenant_id, new, now)):
                _admit(connection, tenant_id, new)
            if promote:
                _promote(connection, tenant_id, new, now)
                if also is not None:
                    also(connection)
            mine = (versions.c.tenant_id == tenant_id) & (versions.c.id == new.id)
            return _version(connection.execute(select(versions).where(mine)).one())

    def promote_version(
        self, tenant_id: str, version: Version, *, who: str, reason: str | None
    ) -> Version:
        """Makes one live that was registered before; an older one again is a rollback.

        Raises Conflict for one that was refused.
        """
        _refuse_promotion(version)
        now = self.now()
        with self.writing() as connection:
            _promote(connection, tenant_id, version, now, who=who, reason=reason)
        return replace(version, promoted_at=now)

    def version(self, tenant_id: str, prefix: str) -> Version:
        """Raises NotFound for none and Conflict for several whose id begins with `prefix`."""

        def beginning(digits: str) -> Sequence[Row[Any]]:
            mine = (versions.c.tenant_id == tenant_id) & versions.c.id.startswith(digits)
            with self.reading() as connection:
                return connection.execute(select(versions).where(mine).limit(2)).all()

        return _version(_NAMED.only(prefix, beginning))

    def versions(self, tenant_id: str, decision: str | None = None) -> tuple[Version, ...]:
        """The newest first, of one decision or of all."""
        mine = versions.c.tenant_id == tenant_id
        if decision is not None:
            mine &= versions.c.decision == decision
        statement = select(versions).where(mine).order_by(versions.c.seq.desc())
        with self.reading() as connection:
            return tuple(_version(row) for row in connection.execute(statement))


def _refuse_promotion(new: NewVersion) -> None:
    if new.reasons or new.evaluation is None:
        raise Conflict(
            "RUNG-VERSION-REFUSED",
            f"the version {new.id[:12]} cannot be promoted",
            way_out="`rung registry show` lists what is in the way.",
        )


def _refuse_form(tenant_id: str, new: NewVersion) -> None:
    if tenant_id and new.decision and new.step and new.artifact and _ID.match(new.id):
        return
    raise InvalidRequest(
        "RUNG-VERSION-FORM",
        "a version has a tenant, a decision, a step, an artifact and an id of 64 hex digits",
        way_out="Train the decision; training registers what it made.",
    )


def _row(tenant_id: str, new: NewVersion, now: datetime) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "id": new.id,
        "decision": new.decision,
        "step": new.step,
        "artifact": new.artifact,
        "evaluation": new.evaluation,
        "lineage": new.lineage,
        "state": _state(new.reasons),
        "reasons": list(new.reasons),
        "trial": new.trial,
        "promoted_at": None,
        "created_at": now,
    }


def _state(reasons: Sequence[Mapping[str, str]]) -> State:
    return "refused" if reasons else "registered"


def _admit(connection: Connection, tenant_id: str, new: NewVersion) -> None:
    """What is in the way may have gone since: a home that is for trials, say."""
    if new.reasons:
        return
    mine = (versions.c.tenant_id == tenant_id) & (versions.c.id == new.id)
    refused = mine & (versions.c.state == "refused")
    admitted = {"state": "registered", "reasons": [], "trial": new.trial}
    connection.execute(update(versions).where(refused).values(admitted))


def _promote(
    connection: Connection,
    tenant_id: str,
    new: NewVersion,
    now: datetime,
    *,
    who: str | None = None,
    reason: str | None = None,
) -> None:
    mine = (versions.c.tenant_id == tenant_id) & (versions.c.id == new.id)
    connection.execute(update(versions).where(mine).values(promoted_at=now))
    release = {"name": new.decision, "digest": new.artifact, "registered_at": now}
    row = {"tenant_id": tenant_id, **release, "who": who, "reason": reason}
    connection.execute(releases.insert().values(row))


def _version(row: Row[Any]) -> Version:
    content = dict(row._mapping)
    del content["tenant_id"]
    return Version(**{**content, "reasons": tuple(content["reasons"])})
