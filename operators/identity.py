"""Identities that do not depend on when, where or how often something was seen (contract.md sections 1 and 3)."""

import hashlib
import uuid

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "hindsight.dev")
"""The one namespace of every derived id. Changing it orphans each stored row."""

_SALT = NAMESPACE.bytes


def identity(kind: str, value: str) -> uuid.UUID:
    """The UUID of `value` among things of one `kind`: itself if it parses as a UUID, else derived from both.

    >>> identity("task", "P1-T404") == identity("task", "P1-T404") != identity("project", "P1-T404")
    True
    >>> identity("task", "7D444840-9DC0-11D1-B245-5FFDCE74FAD2")
    UUID('7d444840-9dc0-11d1-b245-5ffdce74fad2')
    """
    if 32 <= len(value) <= 45:
        try:
            return uuid.UUID(value)
        except ValueError:
            pass
    return uuid.uuid5(NAMESPACE, f"{kind}:{value}")


def event_digest(source: str, event_id: str) -> bytes:
    """SHA-1 over the namespace and (source, id): what `event_uuid` and `event_key` are cut from (20 bytes).

    The two parts are joined by NUL, which neither can hold (such records are dead letters).
    """
    return hashlib.sha1(_SALT + f"event:{source}\0{event_id}".encode()).digest()


def event_uuid(source: str, event_id: str) -> uuid.UUID:
    """The id of the row that an event makes.

    >>> event_uuid("ci://x", "1") == uuid.uuid5(NAMESPACE, "event:ci://x\\0" + "1")
    True
    """
    return uuid.UUID(bytes=event_digest(source, event_id)[:16], version=5)


def event_key(source: str, event_id: str) -> int:
    """The first 8 bytes of `event_uuid` as a signed integer, for the two tables with the most rows.

    >>> event_key("ci://x", "1") == int.from_bytes(event_uuid("ci://x", "1").bytes[:8], signed=True)
    True
    """
    return key_of_digest(event_digest(source, event_id))


def key_of_digest(digest: bytes) -> int:
    """`event_key` from a digest at hand: the version nibble of the UUID is in these 8 bytes, so it is set here too."""
    return int.from_bytes(digest[:8], "big", signed=True) & ~0xF000 | 0x5000


def series_id(entity: str, measure: str) -> int:
    """A series' key in `series` and the tables of its aggregates: 8 bytes of a hash of its name.

    At 1 M series two of them collide with a probability of 3e-8.
    """
    digest = hashlib.sha1(_SALT + f"series:{entity}\0{measure}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def input_id(topic: str) -> int:
    """A short key for an input (a topic, a file) in `rollups_…`: 4 bytes, signed."""
    return int.from_bytes(hashlib.sha1(_SALT + f"input:{topic}".encode()).digest()[:4], "big", signed=True)
