"""Events of entities, which features are made of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "entity_events",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("known_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "entity_type", "entity", "event_id"),
    )
    op.create_index(
        "entity_events_by_entity",
        "entity_events",
        ["tenant_id", "entity_type", "entity", "happened_at"],
        unique=False,
    )
    op.create_index(
        "entity_events_by_known",
        "entity_events",
        ["tenant_id", "entity_type", "known_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("entity_events")
