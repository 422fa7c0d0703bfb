"""Tokens: `hs_ID_SECRET`. The secret has 256 random bits, so one SHA-256 is enough of a hash; only that is stored."""

import hashlib
import hmac
import re
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from sql.store.api import Token, Tokens

SCOPES = ("read", "write", "admin")
"""Each allows what those before it do."""

KNOWN_SECONDS = 5.0
"""How long an answer of the database is believed: a revoked token is refused after that time."""

SEEN_SECONDS = 60.0
"""How often `last_used_at` is written."""

KEPT = 10_000
"""Tokens whose answers are remembered, wrong ones too."""

_FORM = re.compile(r"hs_([0-9a-f]{32})_[A-Za-z0-9_-]{43}")


class Caller(NamedTuple):
    """Who asks: the token's name and scope, or nobody in particular."""

    name: str
    scope: str | None
    address: str

    def may(self, scope: str) -> bool:
        """Whether the token's scope includes this one.

        >>> [Caller("ci", "write", "").may(scope) for scope in SCOPES], Caller("", None, "").may("read")
        ([True, True, False], False)
        """
        return self.scope is not None and SCOPES.index(self.scope) >= SCOPES.index(scope)


def new_token(name: str, scope: str) -> tuple[str, Token]:
    """A token and the row that stands for it.

    >>> token, row = new_token("ci", "write")
    >>> row.token_hash == hashed(token) and token.startswith("hs_" + row.id.hex)
    True
    """
    identifier = uuid.uuid4()
    token = f"hs_{identifier.hex}_{secrets.token_urlsafe(32)}"
    return token, Token(id=identifier, name=name, scope=scope, token_hash=hashed(token))


def hashed(token: str) -> bytes:
    """SHA-256 of a token."""
    return hashlib.sha256(token.encode()).digest()


class _Known(NamedTuple):
    until: float
    token: Token | None


class Gate:
    """Tells whose a token is; from any thread. The database is asked once in a few seconds a token."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._seen: dict[uuid.UUID, float] = {}

    def remembered(self, token: str) -> tuple[bool, Token | None]:
        """Whether the token was looked up a moment ago, and what came of it. Asks no database."""
        known = self._known.get(hashed(token))
        if known is None or known.until <= self._clock():
            return False, None
        return True, known.token

    def find(self, token: str) -> Token | None:
        """The token's row; None for one that is not valid. Raises `StoreError`."""
        there, found = self.remembered(token)
        if there:
            return found
        digest = hashed(token)
        form = _FORM.fullmatch(token)
        row = self._tokens.find(uuid.UUID(form[1])) if form else None
        valid = row if row is not None and hmac.compare_digest(row.token_hash, digest) else None
        with self._lock:
            self._known[digest] = _Known(self._clock() + KNOWN_SECONDS, valid)
            self._known.move_to_end(digest)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        if valid is not None and self._clock() - self._seen.get(valid.id, -SEEN_SECONDS) >= SEEN_SECONDS:
            self._seen[valid.id] = self._clock()
            self._tokens.seen(valid.id)
        return valid
