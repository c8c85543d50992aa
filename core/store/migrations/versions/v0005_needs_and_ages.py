"""The embedder that a job needs, since when a vector is kept, who made a release live and why."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


OF_ROW = "tenant_id, decision, key, probability, outcome, features_digest"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("needs", sa.Text(), nullable=True))
    _move_needs(_out_of_payload)
    # Of what is there the age is unknown, and none may go as an old one would.
    now = sa.text(str(time.time_ns() // 1000))
    op.add_column(
        "vectors", sa.Column("kept_at", sa.BigInteger(), nullable=False, server_default=now)
    )
    op.create_table(
        "folder_marks",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id"),
    )
    op.add_column("releases", sa.Column("who", sa.Text(), nullable=True))
    op.add_column("releases", sa.Column("reason", sa.Text(), nullable=True))
    with _kept(f"{OF_ROW}, release, scored_at, expires_at", "scores"):
        _scores_by_run()


def downgrade() -> None:
    joined = "scores JOIN score_runs ON score_runs.id = scores.run"
    told = ", ".join(f"scores.{name}" for name in OF_ROW.split(", "))
    with _kept(f"{told}, release, scores.scored_at, expires_at", joined):
        _scores_by_row()
    op.drop_column("releases", "reason")
    op.drop_column("releases", "who")
    op.drop_table("folder_marks")
    op.drop_column("vectors", "kept_at")
    _move_needs(_into_payload)
    op.drop_column("jobs", "needs")


Told = tuple[str | None, dict[str, Any], Any]  # needs, the payload, and what its hash is made of


def _move_needs(moved: Callable[[str | None, dict[str, Any]], Told]) -> None:
    """Of every job on a corpus: one that has failed may be asked for again."""
    bind = op.get_bind()
    every = (
        "SELECT tenant_id, id, needs, payload FROM jobs "
        "WHERE kind IN ('embed_documents', 'build_index')"
    )
    change = (
        "UPDATE jobs SET needs = :needs, payload = :payload, content_hash = :hash "
        "WHERE tenant_id = :tenant AND id = :id"
    )
    for tenant_id, job_id, needs, payload in bind.execute(sa.text(every)).all():
        needs, told, hashed = moved(needs, json.loads(payload))
        values = {
            "tenant": tenant_id,
            "id": job_id,
            "needs": needs,
            "payload": json.dumps(told),
            "hash": hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest(),
        }
        bind.execute(sa.text(change), values)


def _out_of_payload(needs: str | None, payload: dict[str, Any]) -> Told:
    told = {name: value for name, value in payload.items() if name != "fingerprint"}
    needs = payload.get("fingerprint")
    return needs, told, [told, needs]


def _into_payload(needs: str | None, payload: dict[str, Any]) -> Told:
    told = {**payload, "fingerprint": needs}
    return needs, told, told


@contextmanager
def _kept(columns: str, source: str) -> Iterator[None]:
    """For the tables of scores that are made within: their rows lie aside until then."""
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT {columns} FROM {source}")
    yield
    op.execute("DROP TABLE kept")


def _scores_by_run() -> None:
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
    run = "tenant_id, decision, release, scored_at"
    op.execute(
        f"INSERT INTO score_runs ({run}, expires_at) "
        f"SELECT {run}, max(expires_at) FROM kept GROUP BY {run}"
    )
    op.execute(
        f"INSERT INTO scores ({OF_ROW}, run, scored_at) "
        f"SELECT {OF_ROW}, score_runs.id, scored_at FROM kept JOIN score_runs USING ({run})"
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
    whole = f"{OF_ROW}, release, scored_at, expires_at"
    op.execute(f"INSERT INTO scores ({whole}) SELECT {whole} FROM kept")


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
