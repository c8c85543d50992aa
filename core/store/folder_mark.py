"""By what a database knows the artifacts that its rows name, and no other's, as its own."""

import secrets

from sqlalchemy import select

from core.store.base import Base, insert_new
from core.store.tables import folder_marks


def folder_mark(store: Base, tenant_id: str) -> str:
    """The same for ever; drawn when it is first asked for."""
    drawn = {"tenant_id": tenant_id, "mark": secrets.token_hex(16)}
    with store.writing() as connection:
        insert_new(connection, folder_marks, drawn)
        mine = folder_marks.c.tenant_id == tenant_id
        return str(connection.execute(select(folder_marks.c.mark).where(mine)).scalar_one())
