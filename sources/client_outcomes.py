"""What becomes of the events and batches of :class:`sources.client.Client`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class Counts(NamedTuple):
    """Events by what became of them; `sent` is the sum of the others. `retries`: batches tried again."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    spilled: int = 0
    lost: int = 0
    waiting: int = 0
    retries: int = 0


class Refusal(NamedTuple):
    """An event that the server does not take, as it was sent, and why (the reasons of docs/events.md)."""

    event: dict[str, Any]
    reason: str
    detail: str


class Refused(NamedTuple):
    """The server does not take this event: `reason` is one of docs/events.md, `detail` says what and where."""

    reason: str
    detail: str


class TryAgain(Exception):
    """Nothing is known to be stored; the same batch may succeed later. `after`: seconds the server asks to wait."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class TooLarge(Exception):
    """The batch is too large for the server; a smaller one may not be."""


class Denied(Exception):
    """The server takes no batch like this: a wrong token, a wrong address. Trying again is of no use."""


class Transport(Protocol):
    """Sends batches, from one thread at a time."""

    def post(self, lines: Sequence[bytes]) -> Mapping[int, Refused]:
        """Send them; which were refused, by index. All others are safe.

        Raises `TryAgain`, `TooLarge` or `Denied`.
        """

    def close(self) -> None:
        """Give the connection up."""
