import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.detect.adwin import Adwin, add, drop
from operators.floats import Floats, floats, from_plain, pack, to_plain, unknown, unpack


class Kept(msgspec.Struct):
    some: Floats = msgspec.field(default_factory=floats)


@given(st.lists(st.floats()))
def test_an_array_comes_back_as_it_was(values):
    raw = pack(Kept(floats(values)))
    again = unpack(raw, Kept)
    assert again.some.tolist() == pytest.approx(values, rel=0, abs=0, nan_ok=True)
    assert pack(again) == raw


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_a_list_of_an_earlier_version_is_read_and_none_is_nan(values):
    found = unpack(msgspec.msgpack.encode({"some": values}), Kept).some
    assert [None if math.isnan(value) else value for value in found] == values


def test_bytes_are_little_endian_on_every_machine(monkeypatch):
    one = bytes.fromhex("000000000000f03f")
    assert to_plain(floats([1.0])) == one
    monkeypatch.setattr("sys.byteorder", "big")
    assert to_plain(floats([1.0])) == one[::-1]
    kept = floats([1.0])
    assert from_plain(Floats, to_plain(kept)) == kept
    assert kept == floats([1.0])


@pytest.mark.parametrize("broken", [b"1234567", 5, "x", ["x"], {}, [[["x"]]]])
def test_what_is_no_array_is_said_so(broken):
    with pytest.raises(msgspec.MsgspecError):
        unpack(msgspec.msgpack.encode({"some": broken}), Kept)


def test_other_types_are_refused():
    with pytest.raises(NotImplementedError, match="object"):
        pack(object())
    with pytest.raises(NotImplementedError, match="set"):
        from_plain(set, [])


def test_unknown_values_are_no_numbers_and_not_shared():
    one, other = unknown(3), unknown(3)
    one[0] = 1.0
    assert one[0] == 1.0
    assert all(map(math.isnan, [*one[1:], *other]))


def test_rows_of_a_window_of_an_earlier_version_are_read():
    """Then each size of bucket had a list of its own, the smallest first."""
    window = Adwin()
    for place in range(300):
        add(window, place * place % 17 / 3.0)
    drop(window)
    rows: list[list[list[float]]] = []
    for kept in (window.totals, window.spreads):
        left = kept.tolist()
        rows.append([])
        for count in window.counts:
            rows[-1].append(left[len(left) - count :])
            del left[len(left) - count :]
        assert not left
    names = msgspec.msgpack.decode(pack(window))
    del names["c"]
    old = msgspec.msgpack.encode(names | {"b": rows[0], "w": rows[1]})
    assert unpack(old, Adwin) == window
    assert unpack(msgspec.msgpack.encode({"n": 0, "b": [[]], "w": [[]]}), Adwin) == Adwin()
