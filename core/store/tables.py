"""The tables; each row belongs to a tenant.

What a person sent lies in `payloads`, apart from the decision and its trace. Migrations make the
schema; a test holds that they make exactly this one.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from core.document_limits import ID_LENGTH as DOCUMENT_ID_LENGTH
from core.document_limits import TEXT_LENGTH, TITLE_LENGTH
from core.store.columns import JsonText, Moment, Sequence, Word

metadata = MetaData()
NAME_LENGTH = 100
ID_LENGTH = 100
PERSON_LENGTH = 200
NOTE_LENGTH = 4000


def _tenant(*, key: bool = False) -> Column[str]:
    return Column("tenant_id", Word(ID_LENGTH), primary_key=key, nullable=False)


def _of_decision() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "decision_id"], ["decisions.tenant_id", "decisions.id"]
    )


decisions = Table(
    "decisions",
    metadata,
    _tenant(key=True),
    Column("id", Word(ID_LENGTH), primary_key=True),
    Column("name", Word(NAME_LENGTH), nullable=False),
    Column("rung", Word(NAME_LENGTH), nullable=False),
    Column("release", Word(ID_LENGTH), nullable=False),
    Column("decided_at", Moment, nullable=False),
    Column("document", JsonText, nullable=False),
    Index("decisions_by_name", "tenant_id", "name", "decided_at"),
)

payloads = Table(
    "payloads",
    metadata,
    _tenant(key=True),
    Column("decision_id", Word(ID_LENGTH), primary_key=True),
    Column("facts", JsonText, nullable=False),
    _of_decision(),
)

feedback = Table(
    "feedback",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("decision_id", Word(ID_LENGTH), nullable=False),
    Column("truth", Word(NAME_LENGTH)),
    Column("document", Word(PERSON_LENGTH)),
    Column("kpi", Float),
    Column("source", Word(PERSON_LENGTH), nullable=False),
    Column("happened_at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    _of_decision(),
    Index("feedback_by_decision", "tenant_id", "decision_id"),
)

reviews = Table(
    "reviews",
    metadata,
    _tenant(key=True),
    Column("id", Word(ID_LENGTH), primary_key=True),
    Column("decision_id", Word(ID_LENGTH), nullable=False),
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("state", Text, nullable=False),  # open, claimed, snoozed, resolved
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("held_until", Moment),  # a claim's lease, or the end of a snooze
    Column("claimed_by", Word(PERSON_LENGTH)),
    Column("resolved_at", Moment),
    Column("truth", Word(NAME_LENGTH)),
    Column("document", Word(PERSON_LENGTH)),
    Column("note", Word(NOTE_LENGTH)),
    _of_decision(),
    Index("reviews_by_decision", "tenant_id", "decision_id", unique=True),
    Index("reviews_by_due", "tenant_id", "due_at", "id"),
)

review_events = Table(
    "review_events",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("review_id", Word(ID_LENGTH), nullable=False),
    Column("at", Moment, nullable=False),
    Column("who", Word(PERSON_LENGTH), nullable=False),
    Column("event", Text, nullable=False),  # opened, claimed, snoozed, resolved
    Column("note", Word(NOTE_LENGTH), nullable=False),
    ForeignKeyConstraint(["tenant_id", "review_id"], ["reviews.tenant_id", "reviews.id"]),
    Index("review_events_by_review", "tenant_id", "review_id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _tenant(key=True),
    Column("key", Word(), primary_key=True),
    Column("request_hash", Word(), nullable=False),
    Column("token", Text, nullable=False),  # of the claim that may complete it
    Column("lease_until", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("decision_id", Word(ID_LENGTH)),
    Column("response", JsonText),
    Index("idempotency_by_expiry", "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Word(ID_LENGTH), primary_key=True),  # the key's public prefix
    _tenant(),
    Column("name", Word(NAME_LENGTH), nullable=False),
    Column("mac", Text, nullable=False),
    Column("scopes", JsonText, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Index("api_keys_by_name", "tenant_id", "name"),
)

# Releases and indexes are only ever added; the newest row is the one in force.
releases = Table(
    "releases",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("name", Word(NAME_LENGTH), nullable=False),
    Column("digest", Word(ID_LENGTH), nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("who", Word(PERSON_LENGTH)),  # None where training did it
    Column("reason", Word(NOTE_LENGTH)),
    Index("releases_by_name", "tenant_id", "name", "seq"),
)

versions = Table(
    "versions",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("id", Word(ID_LENGTH), nullable=False),  # digest of lineage and artifact
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("step", Word(NAME_LENGTH), nullable=False),  # what the gate registered
    Column("artifact", Word(ID_LENGTH), nullable=False),
    Column("evaluation", Word(ID_LENGTH)),
    Column("lineage", JsonText, nullable=False),
    Column("state", Text, nullable=False),  # registered, refused
    Column("reasons", JsonText, nullable=False),
    Column("trial", Boolean, nullable=False),
    Column("promoted_at", Moment),
    Column("created_at", Moment, nullable=False),
    Index("versions_by_id", "tenant_id", "id", unique=True),
    Index("versions_by_decision", "tenant_id", "decision", "seq"),
)

indexes = Table(
    "indexes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("corpus", Word(NAME_LENGTH), nullable=False),
    Column("artifact_id", Word(ID_LENGTH), nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("fingerprint", Word()),  # of the embedder; None in rows of before it was written
    Column("revision", BigInteger),  # of the corpus that it holds; None where training built it
    Column("report", JsonText),  # what was verified before it came into force
    Index("indexes_by_corpus", "tenant_id", "decision", "corpus", "seq"),
)

# `revision` grows whenever what an index of the corpus would hold changes.
corpora = Table(
    "corpora",
    metadata,
    _tenant(key=True),
    Column("decision", Word(NAME_LENGTH), primary_key=True),
    Column("corpus", Word(NAME_LENGTH), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

# A document's newest ready row is what is indexed: an older one stays until the newer is embedded.
documents = Table(
    "documents",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("corpus", Word(NAME_LENGTH), nullable=False),
    Column("document", Word(DOCUMENT_ID_LENGTH), nullable=False),
    Column("title", Word(TITLE_LENGTH), nullable=False),
    Column("text", Word(TEXT_LENGTH), nullable=False),
    Column("content_hash", Word(ID_LENGTH), nullable=False),
    Column("source", Word(NAME_LENGTH), nullable=False),  # folder, api
    Column("state", Text, nullable=False),  # waiting, ready, deleted, failed
    Column("reason", Word(NOTE_LENGTH)),  # why it failed
    Column("written_at", Moment, nullable=False),
    Index("documents_by_id", "tenant_id", "decision", "corpus", "document", "seq"),
    Index("documents_by_state", "tenant_id", "decision", "corpus", "state", "seq"),
)

vectors = Table(
    "vectors",
    metadata,
    _tenant(key=True),
    Column("fingerprint", Word(), primary_key=True),
    Column("text_digest", Word(ID_LENGTH), primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian
    Column("kept_at", Moment, nullable=False),
)

# The folder of a tenant's artifacts bears the mark of the one database whose rows name them.
folder_marks = Table(
    "folder_marks",
    metadata,
    _tenant(key=True),
    Column("mark", Word(ID_LENGTH), nullable=False),
)

# What all scores of a run have in common, so that a row of `scores` is short.
score_runs = Table(
    "score_runs",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("release", Word(ID_LENGTH), nullable=False),
    Column("scored_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("score_runs_by_release", "tenant_id", "decision", "release", "scored_at", unique=True),
    sqlite_autoincrement=True,  # no other run gets the id of one that is gone
)

scores = Table(
    "scores",
    metadata,
    _tenant(key=True),
    Column("decision", Word(NAME_LENGTH), primary_key=True),
    Column("key", Word(), primary_key=True),  # of the row that was scored; a pseudonym of an entity
    Column("probability", Float, nullable=False),
    Column("outcome", Word(NAME_LENGTH), nullable=False),
    Column("features_digest", Word(ID_LENGTH), nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("scored_at", Moment, nullable=False),  # of the run: a newer one is told by the row alone
    sqlite_with_rowid=False,  # the key is written once, not in an index too
)

budget_days = Table(
    "budget_days",
    metadata,
    _tenant(key=True),
    Column("decision", Word(NAME_LENGTH), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # of the proleptic calendar, UTC
    Column("spent", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
)

budget_reservations = Table(
    "budget_reservations",
    metadata,
    Column("id", Word(ID_LENGTH), primary_key=True),
    _tenant(),
    Column("decision", Word(NAME_LENGTH), nullable=False),
    Column("day", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Index("budget_reservations_by_day", "day"),
)

jobs = Table(
    "jobs",
    metadata,
    _tenant(key=True),
    Column("id", Word(ID_LENGTH), primary_key=True),
    Column("kind", Word(NAME_LENGTH), nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("content_hash", Word(ID_LENGTH), nullable=False),
    Column("needs", Word()),  # the fingerprint of the only embedder that can do it, if any
    Column("state", Text, nullable=False),  # queued, running, done, failed, cancelled
    Column("priority", Integer, nullable=False),  # the greater first
    Column("tries", Integer, nullable=False),
    Column("max_tries", Integer, nullable=False),
    Column("token", Text),  # of the claim that may finish it
    Column("due_at", Moment, nullable=False),  # queued: to be claimed from; running: its lease
    Column("woken_at", Moment, nullable=False),
    Column("reason", Word(NOTE_LENGTH)),
    Column("result", JsonText),
    Column("progress", BigInteger, nullable=False),  # units done, of `total` where that is known
    Column("total", BigInteger),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),  # of the last claim
    Column("finished_at", Moment),
    # The same work is open once at most, however often it is asked for.
    Index(
        "jobs_open_once",
        "tenant_id",
        "kind",
        "content_hash",
        unique=True,
        sqlite_where=text("state IN ('queued', 'running')"),
        postgresql_where=text("state IN ('queued', 'running')"),
    ),
    Index("jobs_by_creation", "tenant_id", "created_at"),
    # The few that a worker holds, so that a sweep finds a lapsed lease without reading the queue.
    Index(
        "jobs_by_lease",
        "due_at",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

# In the order in which open jobs are claimed, so that a claim reads the first rows and sorts none.
Index(
    "jobs_by_turn",
    jobs.c.priority.desc(),
    jobs.c.due_at,
    jobs.c.id,
    sqlite_where=text("state IN ('queued', 'running')"),
    postgresql_where=text("state IN ('queued', 'running')"),
)

# Work that comes back: enqueued by whichever worker looks first when it is due.
schedules = Table(
    "schedules",
    metadata,
    _tenant(key=True),
    Column("name", Word(NAME_LENGTH), primary_key=True),
    Column("kind", Word(NAME_LENGTH), nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("every_s", Integer, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("schedules_by_time", "next_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    _tenant(),
    Column("topic", Word(NAME_LENGTH), nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("sent_at", Moment),
    Index("outbox_by_state", "sent_at", "seq"),
)

entity_events = Table(
    "entity_events",
    metadata,
    _tenant(key=True),
    Column("entity_type", Word(NAME_LENGTH), primary_key=True),
    Column("entity", Word(ID_LENGTH), primary_key=True),  # its pseudonym
    Column("event_id", Word(ID_LENGTH), primary_key=True),  # as the teller names it
    Column("kind", Word(NAME_LENGTH), nullable=False),
    Column("happened_at", Moment, nullable=False),
    Column("known_at", Moment, nullable=False),
    Column("content", JsonText, nullable=False),
    Index("entity_events_by_entity", "tenant_id", "entity_type", "entity", "happened_at"),
    Index("entity_events_by_known", "tenant_id", "entity_type", "known_at"),
)
