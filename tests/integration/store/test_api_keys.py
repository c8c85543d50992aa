"""A key opens its tenant's door while it is live, and the table opens none."""

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from core.errors import Conflict, InvalidRequest, InvalidSettings, NotFound, Unauthorized
from core.store import Store
from core.store.tables import api_keys
from tests.fakes.clock import FixedClock


def refusal(store: Store, key: str) -> str:
    with pytest.raises(Unauthorized) as caught:
        store.verify_key(key)
    assert caught.value.status == 401
    return caught.value.code


def test_a_key_names_its_tenant_and_scopes(store: Store) -> None:
    key = store.create_key("acme", "app", ["read", "decide", "read"])
    principal = store.verify_key(key)
    assert (principal.tenant_id, principal.scopes) == ("acme", frozenset({"read", "decide"}))
    (listed,) = store.list_keys("acme")
    assert (listed.id, listed.name) == (principal.key_id, "app")


def test_a_stored_scope_that_does_not_exist_allows_nothing(store: Store) -> None:
    key = store.create_key("acme", "app", ["read"])
    with store.writing() as connection:
        connection.execute(update(api_keys).values(scopes=["all", "read"]))
    assert store.verify_key(key).scopes == {"read"}
    (listed,) = store.list_keys("acme")
    assert listed.scopes == {"read"}


def test_no_part_of_the_secret_is_stored(store: Store) -> None:
    key = store.create_key("acme", "app", ["read"])
    random = key.split("_")[2]
    with store.reading() as connection:
        row = connection.execute(select(api_keys)).one()
    assert random not in repr(tuple(row)) and key not in repr(tuple(row))


def test_every_change_of_a_key_is_refused(store: Store) -> None:
    key = store.create_key("acme", "app", ["read"])
    other = store.create_key("acme", "other", ["read"])
    for place in range(len(key)):
        for sign in ("A" if key[place] != "A" else "B", "0" if key[place] != "0" else "1"):
            assert refusal(store, key[:place] + sign + key[place + 1 :]) == "RUNG-KEY-INVALID"
    prefix, wrong = key.split("_")[1], other.split("_")
    assert refusal(store, "_".join(["rung", prefix, *wrong[2:]])) == "RUNG-KEY-INVALID"


def test_expiry_and_revocation(store: Store, clock: FixedClock) -> None:
    key = store.create_key("acme", "app", ["read"], clock.now() + timedelta(days=1))
    kept = store.create_key("acme", "kept", ["read"])
    clock.advance(days=1)
    assert refusal(store, key) == "RUNG-KEY-EXPIRED"
    store.revoke_key("acme", store.verify_key(kept).key_id)
    assert refusal(store, kept) == "RUNG-KEY-INVALID"
    revoked_at = {info.name: info.revoked_at for info in store.list_keys("acme")}
    clock.advance(days=1)
    store.revoke_key("acme", kept.split("_")[1])
    assert {info.name: info.revoked_at for info in store.list_keys("acme")} == revoked_at
    with pytest.raises(NotFound):
        store.revoke_key("acme", "unknown")


def test_two_of_a_name_are_live_so_that_callers_can_change_over(store: Store) -> None:
    old = store.create_key("acme", "app", ["read"])
    new = store.create_key("acme", "app", ["read"])
    assert store.verify_key(old).key_id != store.verify_key(new).key_id
    with pytest.raises(Conflict) as caught:
        store.create_key("acme", "app", ["read"])
    assert caught.value.code == "RUNG-KEY-ROTATION"
    store.create_key("other", "app", ["read"])
    store.revoke_key("acme", store.verify_key(old).key_id)
    store.create_key("acme", "app", ["read"])


def test_a_key_of_nothing_is_refused(store: Store, clock: FixedClock) -> None:
    for scopes in ([], ["root"], ["read", "\ud800"]):
        with pytest.raises(InvalidRequest) as caught:
            store.create_key("acme", "app", scopes)
        assert caught.value.code == "RUNG-KEY-SCOPE"
        caught.value.message.encode()
    for name, expires in ((" ", None), ("app", clock.now())):
        with pytest.raises(InvalidRequest) as caught:
            store.create_key("acme", name, ["read"], expires)
        assert caught.value.code == "RUNG-KEY-FORM"


def test_another_secret_opens_nothing_and_none_fails_closed(
    store: Store, url: str, clock: FixedClock
) -> None:
    key = store.create_key("acme", "app", ["read"])
    other = Store.open(url, clock, secret=SecretStr("another secret of sufficient length"))
    assert refusal(other, key) == "RUNG-KEY-INVALID"
    other.close()
    bare = Store.open(url, clock)
    with pytest.raises(InvalidSettings):
        bare.verify_key(key)
    bare.close()
