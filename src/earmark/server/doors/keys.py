"""The keys of the doors to players: their own, compared in constant time, never logged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from earmark.server.safety import same

__all__ = ["USER", "WRONG_KEY_SECONDS", "Keys", "Refused"]

USER = "earmark"
"""The one user there is; a client may give any name."""

WRONG_KEY_SECONDS = 0.3
"""That the answer to a wrong key takes: whoever tries keys tries few."""

_SHUT = "The doors to players are shut; `earmark serve --player-key KEY` opens them."
_WRONG = "Wrong username or password."


class Refused(Exception):
    """A request that does not come in.

    Attributes:
        code: Of OpenSubsonic.
        message: For people.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Keys:
    """What opens the doors.

    Attributes:
        key: Of both doors: ``apiKey`` of OpenSubsonic, bearer token of AudioMuse-AI; None: there is none.
        password: Of OpenSubsonic's older clients alone; None: there is none.
    """

    key: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def takes_bearer(self, header: str) -> bool:
        """Whether an ``Authorization`` header carries the key."""
        scheme, _, given = header.partition(" ")
        return scheme.casefold() == "bearer" and same(given.strip(), self.key)

    def admit(self, given: Mapping[str, str]) -> None:
        """Let a request of OpenSubsonic in, by its parameters.

        Raises:
            Refused: 40 to 44 as https://opensubsonic.netlify.app/docs/extensions/apikeyauth/ has them, 10 where half of
                what is needed is missing. Without any key the door is shut: 40.
        """
        key, user, plain = given.get("apiKey"), given.get("u"), given.get("p")
        token, salt = given.get("t"), given.get("s")
        if key is not None and not (user is plain is token is salt is None):
            raise Refused(
                43, "Multiple conflicting authentication mechanisms provided: apiKey goes without u, p, t, s."
            )
        if plain is not None and token is not None:
            raise Refused(43, "Multiple conflicting authentication mechanisms provided: p goes without t and s.")
        if not self.key and not self.password:
            raise Refused(40, _SHUT)
        if key is not None:
            self._by_key(key)
        elif user is None and plain is token is None:
            raise Refused(40, "Wrong username or password: the request carries neither apiKey nor u with t and s.")
        elif user is None or (plain is None and (token is None or salt is None)):
            raise Refused(10, "Required parameter is missing: u comes with t and s, or with p.")
        elif plain is not None:
            self._by_password(plain)
        else:
            self._by_token(str(token), str(salt))

    def _by_key(self, key: str) -> None:
        if not self.key:
            raise Refused(42, "Provided authentication mechanism not supported: this server has a password alone.")
        if not same(key, self.key):
            raise Refused(44, "Invalid API key.")

    def _by_password(self, plain: str) -> None:
        if not self.password:
            raise Refused(42, "Provided authentication mechanism not supported: use an apiKey.")
        if plain.startswith("enc:"):
            try:
                plain = bytes.fromhex(plain[4:]).decode()
            except ValueError:
                raise Refused(40, _WRONG) from None
        if not same(plain, self.password):
            raise Refused(40, _WRONG)

    def _by_token(self, token: str, salt: str) -> None:
        if not self.password:
            raise Refused(41, "Token authentication not supported: use an apiKey.")
        # Subsonic's clients send MD5, and whoever serves them must know the password: so it is this door's own.
        right = hashlib.md5((self.password + salt).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        if not same(token.casefold(), right):
            raise Refused(40, _WRONG)
