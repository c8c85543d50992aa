"""Documents and their vectors, scores made ahead, schedules, and the progress of a job."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _jobs_and_schedules()
    _corpora()
    op.add_column("indexes", sa.Column("fingerprint", sa.Text(), nullable=True))
    op.add_column("indexes", sa.Column("revision", sa.BigInteger(), nullable=True))
    op.add_column("indexes", sa.Column("report", sa.Text(), nullable=True))
    op.create_table(
        "scores",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("features_digest", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("scored_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "decision", "key"),
    )
    op.create_index("scores_by_expiry", "scores", ["expires_at"], unique=False)


def _jobs_and_schedules() -> None:
    op.add_column(
        "jobs", sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "jobs", sa.Column("progress", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("jobs", sa.Column("total", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("result", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("started_at", sa.BigInteger(), nullable=True))
    op.drop_index("jobs_by_state", table_name="jobs")
    op.create_index(
        "jobs_by_turn",
        "jobs",
        [sa.text("priority DESC"), "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('queued', 'running')"),
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "jobs_by_lease",
        "jobs",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("jobs_by_creation", "jobs", ["tenant_id", "created_at"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("every_s", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name"),
    )
    op.create_index("schedules_by_time", "schedules", ["next_at"], unique=False)


def _corpora() -> None:
    op.create_table(
        "corpora",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "decision", "corpus"),
    )
    op.create_table(
        "documents",
        sa.Column("seq", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("corpus", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "documents_by_id",
        "documents",
        ["tenant_id", "decision", "corpus", "document", "seq"],
        unique=False,
    )
    op.create_index(
        "documents_by_state",
        "documents",
        ["tenant_id", "decision", "corpus", "state", "seq"],
        unique=False,
    )
    op.create_table(
        "vectors",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("text_digest", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "fingerprint", "text_digest"),
    )


def downgrade() -> None:
    for table in ("scores", "vectors", "documents", "corpora", "schedules"):
        op.drop_table(table)
    for column in ("fingerprint", "revision", "report"):
        op.drop_column("indexes", column)
    op.drop_index("jobs_by_creation", table_name="jobs")
    op.drop_index("jobs_by_turn", table_name="jobs")
    op.drop_index("jobs_by_lease", table_name="jobs")
    op.create_index("jobs_by_state", "jobs", ["state", "due_at"], unique=False)
    for column in ("priority", "progress", "total", "result", "started_at"):
        op.drop_column("jobs", column)
