"""A version and its release are one transaction, and never another tenant's."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from core.errors import Conflict, InvalidRequest, NotFound
from core.store import NewVersion, Store, Version
from core.store.documents import CorpusName
from core.store.indexes import NewIndex, add_index
from tests.fakes.clock import FixedClock

WHY = {"code": "RUNG-CODE-DIRTY", "message": "one file is not committed", "way_out": "Commit."}


def new(name: str = "one", **further: Any) -> NewVersion:
    given: dict[str, Any] = {
        "id": hashlib.sha256(name.encode()).hexdigest(),
        "decision": "support",
        "step": "linear",
        "artifact": f"artifact of {name}",
        "evaluation": f"evaluation of {name}",
        "lineage": {"snapshot": "s", "parameters": {"seed": 1, "share": 0.1, "only": None}},
    }
    return NewVersion(**{**given, **further})


def test_what_was_registered_is_read(store: Store, clock: FixedClock) -> None:
    made = store.register_version("acme", new(), promote=False)
    assert isinstance(made, Version)
    assert {name: getattr(made, name) for name in NewVersion.__dataclass_fields__} == {
        name: getattr(new(), name) for name in NewVersion.__dataclass_fields__
    }
    assert (made.state, made.promoted_at, made.created_at) == ("registered", None, clock.now())
    assert store.version("acme", made.id) == made
    assert store.live_release("acme", "support") is None


def test_promotion_makes_the_artifact_live(store: Store, clock: FixedClock) -> None:
    first = store.register_version("acme", new("one"), promote=True)
    clock.advance(hours=1)
    second = store.register_version("acme", new("two"), promote=True)
    assert (first.promoted_at, second.promoted_at) == (first.created_at, clock.now())
    assert store.live_release("acme", "support") == second.artifact
    clock.advance(hours=1)
    again = store.register_version("acme", new("one"), promote=True)  # a rollback
    assert store.live_release("acme", "support") == first.artifact
    assert again == replace(first, promoted_at=clock.now())


def test_a_promotion_later_on_is_told_with_who_and_why(store: Store, clock: FixedClock) -> None:
    first = store.register_version("acme", new("one"), promote=True)
    clock.advance(hours=1)
    second = store.register_version("acme", new("two"), promote=True)
    clock.advance(hours=1)
    again = store.promote_version("acme", first, who="ann", reason="the newer one is worse")
    assert again == store.version("acme", first.id) == replace(first, promoted_at=clock.now())
    assert store.live_release("acme", "support") == first.artifact
    told = [(one.digest, one.who, one.reason) for one in store.promotions("acme", "support")]
    assert told == [
        (first.artifact, "ann", "the newer one is worse"),
        (second.artifact, None, None),
        (first.artifact, None, None),
    ]
    assert store.promotions("acme", "support")[0].registered_at == clock.now()
    assert store.promotions("other", "support") == store.promotions("acme", "billing") == ()
    refused = store.register_version("acme", new("three", reasons=(WHY,)), promote=False)
    with pytest.raises(Conflict) as caught:
        store.promote_version("acme", refused, who="ann", reason=None)
    assert caught.value.code == "RUNG-VERSION-REFUSED"
    assert len(store.promotions("acme", "support")) == 3


def test_indexes_advance_with_the_release_and_not_without_it(store: Store) -> None:
    which = CorpusName(tenant_id="acme", decision="support", corpus="articles")

    def index(artifact: str) -> Callable[[Connection], None]:
        new_index = NewIndex(artifact_id=artifact, fingerprint="space")
        return lambda connection: add_index(
            connection, which, new_index, revision=1, through=0, now=store.now()
        )

    def current() -> list[str]:
        rows = store.current_indexes("acme", "support", "space").values()
        return [row.artifact_id for row in rows]

    store.register_version("acme", new("one"), promote=True, also=index("first"))
    assert current() == ["first"]
    store.register_version("acme", new("two"), promote=False, also=index("second"))
    assert current() == ["first"]


def test_the_newest_is_listed_first_and_a_decision_alone(store: Store) -> None:
    for name, decision in (("one", "support"), ("two", "billing"), ("three", "support")):
        store.register_version("acme", new(name, decision=decision), promote=False)
    artifacts = [version.artifact for version in store.versions("acme")]
    assert artifacts == ["artifact of three", "artifact of two", "artifact of one"]
    assert [version.decision for version in store.versions("acme", "billing")] == ["billing"]
    assert store.versions("acme", "nothing") == ()


def test_a_prefix_names_a_version_where_it_is_unique(store: Store) -> None:
    ids = ["a" * 64, "ab" + "c" * 62]
    for number, version_id in enumerate(ids):
        store.register_version("acme", new(str(number), id=version_id), promote=False)
    assert store.version("acme", "ab").id == ids[1]
    assert store.version("acme", ids[0]).id == ids[0]
    with pytest.raises(Conflict) as caught:
        store.version("acme", "a")
    assert caught.value.code == "RUNG-VERSION-AMBIGUOUS"
    for nothing in ("b", "", "%", "_", "A", "a" * 65, "a\0", "é"):
        with pytest.raises(NotFound) as unknown:
            store.version("acme", nothing)
        assert unknown.value.code == "RUNG-VERSION-ID"


def test_another_tenants_version_does_not_exist(store: Store) -> None:
    mine = store.register_version("acme", new(), promote=True)
    with pytest.raises(NotFound):
        store.version("other", mine.id)
    assert store.versions("other") == ()
    store.register_version("other", new(artifact="theirs"), promote=False)
    assert store.version("acme", mine.id) == mine  # the same id, of another tenant
    assert store.version("other", mine.id).artifact == "theirs"
    assert store.live_release("other", "support") is None


def test_what_is_refused_keeps_its_reasons_and_is_not_promoted(store: Store) -> None:
    refused = store.register_version("acme", new(reasons=(WHY,)), promote=False)
    assert (refused.state, refused.reasons) == ("refused", (WHY,))
    assert store.version("acme", refused.id) == refused
    for version in (new(reasons=(WHY,)), new("two", evaluation=None)):
        with pytest.raises(Conflict) as caught:
            store.register_version("acme", version, promote=True)
        assert caught.value.code == "RUNG-VERSION-REFUSED"
    assert store.versions("acme") == (refused,)
    assert store.live_release("acme", "support") is None


def test_what_was_refused_may_be_let_in_and_never_the_other_way(store: Store) -> None:
    refused = store.register_version("acme", new(reasons=(WHY,)), promote=False)
    tried = store.register_version("acme", new(trial=True), promote=True)
    assert (tried.seq, tried.state, tried.reasons, tried.trial) == (
        refused.seq,
        "registered",
        (),
        True,
    )
    after = store.register_version("acme", new(reasons=(WHY,)), promote=False)
    assert after == tried


@pytest.mark.parametrize(
    "form", [{"id": "x"}, {"id": "A" * 64}, {"decision": ""}, {"step": ""}, {"artifact": ""}]
)
def test_what_is_no_version_is_refused(store: Store, form: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.register_version("acme", new(**form), promote=True)
    assert caught.value.code == "RUNG-VERSION-FORM"
    with pytest.raises(InvalidRequest):
        store.register_version("", new(), promote=False)


def test_a_release_that_cannot_be_written_takes_its_version_with_it(store: Store) -> None:
    class Killed(Exception):
        pass

    def kill(*args: Any) -> None:
        if args[2].startswith("INSERT INTO releases"):
            raise Killed

    event.listen(store._engine, "before_cursor_execute", kill)
    try:
        with pytest.raises(Killed):
            store.register_version("acme", new(), promote=True)
    finally:
        event.remove(store._engine, "before_cursor_execute", kill)
    assert store.versions("acme") == ()
    assert store.live_release("acme", "support") is None


def test_many_may_register_the_same_at_once(store: Store) -> None:
    together = threading.Barrier(6)
    made: list[Version] = []

    def register() -> None:
        together.wait()
        made.append(store.register_version("acme", new(), promote=False))

    threads = [threading.Thread(target=register) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and set(map(repr, made)) == {repr(store.versions("acme")[0])}


def test_a_database_of_the_first_schema_is_brought_up(store: Store) -> None:
    from alembic import command
    from alembic.config import Config

    import core.store.migrate as migrate_module

    store.register_release("acme", "support", "digest")
    config = Config()
    folder = str(migrate_module.__file__).replace("migrate.py", "migrations")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    with store.writing() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        command.upgrade(config, migrate_module.HEAD)
        assert connection.execute(text("SELECT count(*) FROM versions")).scalar() == 0
    assert store.live_release("acme", "support") == "digest"
    store.register_version("acme", new(), promote=True)
