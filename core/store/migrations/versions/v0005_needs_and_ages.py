"""The embedder that a job needs, since when a vector is kept, who made a release live and why."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("needs", sa.Text(), nullable=True))
    op.add_column(
        "vectors",
        sa.Column("kept_at", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "folder_marks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.add_column("releases", sa.Column("who", sa.Text(), nullable=True))
    op.add_column("releases", sa.Column("reason", sa.Text(), nullable=True))
    _scores_by_run()


def downgrade() -> None:
    _scores_by_row()
    op.drop_column("releases", "reason")
    op.drop_column("releases", "who")
    op.drop_table("folder_marks")
    op.drop_column("vectors", "kept_at")
    op.drop_column("jobs", "needs")


def _scores_by_run() -> None:
    """Scores expire, so those that are kept go, and the next run of their table makes new ones."""
    op.drop_table("scores")
    op.create_table(
        "score_runs",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "score_runs_by_release",
        "score_runs",
        ["tenant_id", "decision", "release", "scored_at"],
        unique=True,
    )
    _create_scores(
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )


def _scores_by_row() -> None:
    op.drop_table("scores")
    op.drop_table("score_runs")
    _create_scores(
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("scores_by_expiry", "scores", ["expires_at"], unique=False)


def _create_scores(*more: sa.Column[Any], **how: Any) -> None:
    op.create_table(
        "scores",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("features_digest", sa.Text(), nullable=False),
        *more,
        sa.PrimaryKeyConstraint("tenant_id", "decision", "key"),
        **how,
    )
