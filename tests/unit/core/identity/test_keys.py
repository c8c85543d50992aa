"""The form of a key, and that what is not one is refused before anything is looked up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.errors import Unauthorized
from core.identity.keys import MAX_LENGTH, key_id_of, mac_of, new_key, same_mac

SECRET = SecretStr("s" * 40)


def test_a_new_key_is_well_formed_and_never_the_same() -> None:
    keys = [new_key() for _ in range(200)]
    assert all(key_id_of(key) == key_id for key_id, key in keys)
    assert len({key for _, key in keys}) == len({key_id for key_id, _ in keys}) == 200
    assert all(len(key) <= MAX_LENGTH for _, key in keys)


@given(st.text() | st.text("rung_0aA", max_size=80))
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        key_id_of(text)
    assert caught.value.code == "RUNG-KEY-INVALID"


@pytest.mark.parametrize(
    "change", [str.upper, str.strip, lambda k: k + "\n", lambda k: " " + k, lambda k: k[:-1]]
)
def test_a_key_is_taken_as_it_is(change: object) -> None:
    _, key = new_key()
    changed = change(key)  # type: ignore[operator]
    if changed != key:
        with pytest.raises(Unauthorized):
            key_id_of(changed)


def test_the_mac_depends_on_key_and_secret() -> None:
    _, key = new_key()
    mac = mac_of(key, SECRET)
    assert same_mac(mac, mac_of(key, SECRET))
    assert not same_mac(mac, mac_of(new_key()[1], SECRET))
    assert not same_mac(mac, mac_of(key, SecretStr("t" * 40)))
    assert key not in mac
