"""Floats that a state keeps many of, and the form of a state in bytes.

A list takes 32 bytes a float (a pointer and an object), an `array` 8; with 100,000 series that is the difference
between fitting into memory and not. What is not known is NaN there, so `x == x` asks whether it is: an array has no
room for None. In bytes an array is its doubles, little endian, as msgpack's `bin`.

`array` is as quick as a list to append to and to cut, and somewhat slower to read, since each float is made anew; short
lists of what is read at each value are better left lists. NaN makes two arrays differ: compare what `pack` makes.
"""

import math
import sys
from array import array
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

Kept = TypeVar("Kept")

if TYPE_CHECKING:
    Floats: TypeAlias = array[float]
else:
    Floats = array


def floats(values: Any = ()) -> Floats:
    """An array of doubles, of an iterable of floats.

    >>> floats([1.0, 2.0])[1:]
    array('d', [2.0])
    """
    return array("d", values)


def unknown(count: int) -> Floats:
    """So many values of which nothing is known: NaN.

    >>> [value == value for value in unknown(2)]
    [False, False]
    """
    return array("d", [math.nan]) * count


def pack(state: Any) -> bytes:
    """A state as msgpack. It is the one way to encode what may hold `Floats`.

    >>> pack({"a": floats([0.0])}).hex()
    '81a161c4080000000000000000'
    """
    return _ENCODER.encode(state)


def unpack(raw: bytes | memoryview, kind: type[Kept]) -> Kept:
    """What `pack` has made of a `kind`, or an earlier version, whose lists of floats were lists (None: not known).

    :raises msgspec.MsgspecError: when it is none.

    >>> unpack(pack([0.5, None]), Floats), unpack(pack(floats([0.5])), Floats)
    (array('d', [0.5, nan]), array('d', [0.5]))
    """
    return msgspec.msgpack.decode(raw, type=kind, dec_hook=from_plain)


def to_plain(value: Any) -> Any:
    """`enc_hook` of msgspec: an array as its bytes.

    :raises NotImplementedError: for what is no array.
    """
    if isinstance(value, array):
        return _little(value).tobytes()
    raise NotImplementedError(f"no state holds a {type(value).__name__}")


def from_plain(kind: type, value: Any) -> Any:
    """`dec_hook` of msgspec: an array from its bytes, or from the list that an earlier version wrote.

    A list of lists becomes its rows one after the other, each ended by a NaN.

    :raises NotImplementedError: for another `kind` than an array.
    :raises ValueError: when `value` is not whole doubles.
    :raises TypeError: when it is no list of numbers either.
    """
    if kind is not array:
        raise NotImplementedError(f"no state holds a {kind.__name__}")
    if isinstance(value, bytes):
        found = floats()
        found.frombytes(value)
        return _little(found)
    if not isinstance(value, list):
        raise TypeError(f"expected doubles, found {type(value).__name__}")
    found = floats()
    for item in value:
        if isinstance(item, list):
            found.extend([*item, math.nan])
        else:
            found.append(math.nan if item is None else item)
    return found


def _little(values: Floats) -> Floats:
    """The same in the other order of bytes, on a machine that is big endian."""
    if sys.byteorder == "little":
        return values
    values = values[:]
    values.byteswap()
    return values


_ENCODER = msgspec.msgpack.Encoder(enc_hook=to_plain)
