"""The doors open with their own keys and with nothing else."""

from __future__ import annotations

import hashlib

import pytest

from earmark.server.doors.keys import Keys, Refused

KEY, PASSWORD = "the-key", "sesame"


def token(password: str, salt: str = "c19b2d") -> dict[str, str]:
    return {"u": "joe", "t": hashlib.md5((password + salt).encode()).hexdigest(), "s": salt}


BOTH, KEY_ALONE, PASSWORD_ALONE, NONE = Keys(KEY, PASSWORD), Keys(KEY), Keys(None, PASSWORD), Keys()


@pytest.mark.parametrize(
    ("keys", "given"),
    [
        (BOTH, {"apiKey": KEY}),
        (KEY_ALONE, {"apiKey": KEY}),
        (BOTH, token(PASSWORD)),
        (PASSWORD_ALONE, token(PASSWORD)),
        (BOTH, token(PASSWORD) | {"t": token(PASSWORD)["t"].upper()}),
        (BOTH, {"u": "joe", "p": PASSWORD}),
        (BOTH, {"u": "joe", "p": "enc:" + PASSWORD.encode().hex()}),
    ],
)
def test_the_right_key_opens(keys: Keys, given: dict[str, str]) -> None:
    keys.admit(given)


@pytest.mark.parametrize(
    ("keys", "given", "code"),
    [
        (BOTH, {}, 40),
        (BOTH, {"apiKey": "wrong"}, 44),
        (BOTH, {"apiKey": ""}, 44),
        (BOTH, {"apiKey": PASSWORD}, 44),  # the other door's word
        (BOTH, token(KEY), 40),
        (BOTH, {"u": "joe", "p": KEY}, 40),
        (BOTH, {"u": "joe", "p": ""}, 40),
        (BOTH, {"u": "joe", "p": "enc:zz"}, 40),
        (BOTH, {"u": "joe", "p": "enc:ff"}, 40),  # no UTF-8
        (BOTH, {"u": "joe", "p": "\udcff"}, 40),
        (BOTH, token("wrong"), 40),
        (BOTH, token(PASSWORD) | {"s": "other"}, 40),
        (BOTH, {"u": "joe"}, 10),
        (BOTH, {"p": PASSWORD}, 10),
        (BOTH, {"u": "joe", "t": "x"}, 10),
        (BOTH, {"u": "joe", "s": "x"}, 10),
        (BOTH, {"apiKey": KEY, "u": "joe"}, 43),
        (BOTH, {"apiKey": KEY, **token(PASSWORD)}, 43),
        (BOTH, token(PASSWORD) | {"p": PASSWORD}, 43),
        (KEY_ALONE, token(KEY), 41),
        (KEY_ALONE, {"u": "joe", "p": KEY}, 42),
        (PASSWORD_ALONE, {"apiKey": PASSWORD}, 42),
        (NONE, {}, 40),
        (NONE, {"apiKey": ""}, 40),
        (NONE, token(""), 40),
        (NONE, {"u": "joe", "p": ""}, 40),
        (Keys("", ""), {"apiKey": ""}, 40),
        (Keys("", ""), token(""), 40),
    ],
)
def test_anything_else_does_not(keys: Keys, given: dict[str, str], code: int) -> None:
    with pytest.raises(Refused) as refused:
        keys.admit(given)
    assert refused.value.code == code
    for secret in (KEY, PASSWORD):
        assert secret not in refused.value.message


def test_a_bearer_is_the_key_alone() -> None:
    assert BOTH.takes_bearer(f"Bearer {KEY}")
    assert BOTH.takes_bearer(f"bearer  {KEY}")
    for header in ("", "Bearer", "Bearer ", f"Basic {KEY}", f"Bearer {PASSWORD}", f"Bearer {KEY}x", KEY):
        assert not BOTH.takes_bearer(header)
    assert not NONE.takes_bearer("Bearer ")
    assert not Keys("", "").takes_bearer("Bearer ")


def test_no_key_is_shown() -> None:
    assert KEY not in repr(BOTH) and PASSWORD not in repr(BOTH)
