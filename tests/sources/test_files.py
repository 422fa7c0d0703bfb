"""JSON Lines files: every line once, at its number, whatever the batches, restarts and the way it is written."""

import gzip
import io
import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.records import Mark
from sources.files import FileError, FilePartition, FileSource, LineReader, Position, open_input, topic_of

MODERATE = settings(max_examples=80, deadline=None)
LIMIT = 1 << 10
PIECES = [b"a", b"\n", b"\r\n", b"\n\n", b" \t", b'{"x":1}', b"x" * (LIMIT - 1), b"x" * 3000, b"\xff"]
SHORT = st.lists(st.sampled_from([*PIECES[:6], b"x" * 100, b"\r"]), max_size=9).map(b"".join)
"""No line is over the limit."""
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)


def lines_of(text: bytes) -> list[tuple[int, bytes]]:
    """Number and content of each line that is a record, from the words of the docstrings."""
    found = []
    for number, line in enumerate(text.split(b"\n"), 1):
        last = number == text.count(b"\n") + 1
        content = line if last else line.rstrip(b"\r")
        if content.strip():
            found.append((number, content))
    return found


def part(path: Path | str, snapshot: bytes | None = None, **options: Any) -> FilePartition:
    made: dict[str, Any] = {"batch_size": 3, "most_bytes": LIMIT, "follow": False, "stop": lambda: False}
    return FilePartition(str(path), snapshot, **(made | options))


def read_on(partition: FilePartition, batches: int = 10**6) -> tuple[list[tuple[int, bytes | None]], list[Mark]]:
    """Lines and marks of the next batches, up to the end; of a followed file up to when nothing comes."""
    found: list[tuple[int, bytes | None]] = []
    marks = []
    for _ in range(batches):
        try:
            items = partition.next_batch()
        except StopIteration:
            break
        if not items:
            break
        for _, batch in items:
            found += zip(batch.offsets, batch.values, strict=True)
            marks.append(batch.mark)
            assert len(batch.values) <= 3
        if items[0][1].mark is Mark.IDLE:
            break
    return found, marks


def assert_lines(found: list[tuple[int, bytes | None]], text: bytes) -> None:
    """As they are, but for what is over the limit: of that the beginning, still over the limit."""
    wanted = lines_of(text)
    assert [number for number, _ in found] == [number for number, _ in wanted]
    for (_, have), (_, want) in zip(found, wanted, strict=True):
        assert have is not None
        if len(want) <= LIMIT:
            assert have == want
        else:
            assert (want + b"\r\n").startswith(have)
            assert LIMIT < len(have) <= LIMIT + 2


@MODERATE
@given(TEXTS)
def test_each_line_is_read_once_with_its_number(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.mktemp("files") / "a.jsonl"
    path.write_bytes(text)
    found, marks = read_on(part(path))
    assert_lines(found, text)
    assert marks[-1] is Mark.END
    assert set(marks[:-1]) <= {Mark.DATA}
    zipped = path.with_suffix(".jsonl.gz")
    zipped.write_bytes(gzip.compress(text, 1))
    assert read_on(part(zipped)) == (found, marks)


@MODERATE
@given(TEXTS, st.lists(st.integers(1, 4), max_size=6), st.booleans())
def test_it_resumes_after_any_batch(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, lives: list[int], zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("files") / ("a.gz" if zipped else "a")
    path.write_bytes(gzip.compress(text, 1) if zipped else text)
    whole, _ = read_on(part(path))
    snapshot, found, ends = None, [], 0
    for batches in [*lives, 10**6]:
        partition = part(path, snapshot)
        more, marks = read_on(partition, batches)
        found += more
        ends += marks.count(Mark.END)
        snapshot = partition.snapshot()
        partition.close()
    assert found == whole
    assert ends == 1, "the end is told once, in whichever life"


@MODERATE
@given(SHORT, st.lists(st.integers(0, 2000), max_size=8), st.booleans())
def test_a_growing_file_read_as_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, cuts: list[int], restart: bool
) -> None:
    """Pieces end anywhere: within a line, between CR and LF."""
    text += b"\n"
    path = tmp_path_factory.mktemp("files") / "a"
    path.write_bytes(b"")
    partition = part(path, follow=True)
    found: list[tuple[int, bytes | None]] = []
    for start, end in pairwise(sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})):
        with path.open("ab") as file:
            file.write(text[start:end])
        more, marks = read_on(partition)
        found += more
        assert Mark.END not in marks
        if restart:
            partition = part(path, partition.snapshot(), follow=True)
    assert_lines(found, text)


def test_a_long_line_written_in_pieces_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * (LIMIT + 5))
    partition = part(path, follow=True)
    found, _ = read_on(partition)
    with path.open("ab") as file:
        file.write(b"y" * 50 + b"\nnext\n")
    found += read_on(partition)[0]
    assert [number for number, _ in found] == [1, 2]
    assert found[-1] == (2, b"next")


def test_a_followed_file_ticks_when_idle(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"")
    partition = part(path, follow=True)
    assert partition.next_batch() == [], "no tick before its first line: there is no state to show"
    path.write_bytes(b"1\n")
    assert read_on(partition) == ([(1, b"1")], [Mark.DATA, Mark.IDLE])
    assert partition.next_batch() == [], "one a second"
    assert partition.next_awake() is not None


def test_stop_ends_it_and_leaves_the_panes_open(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n2\n3\n4\n")
    wish: list[int] = []
    partition = part(path, stop=lambda: bool(wish))
    assert read_on(partition, 1)[0] == [(1, b"1"), (2, b"2"), (3, b"3")]
    wish.append(1)
    with pytest.raises(StopIteration):
        partition.next_batch()
    assert read_on(part(path, partition.snapshot())) == ([(4, b"4")], [Mark.DATA, Mark.END])


def test_a_file_that_has_grown_after_its_end_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n2\n")
    first = part(path)
    assert read_on(first) == ([(1, b"1"), (2, b"2")], [Mark.DATA, Mark.END])
    again = part(path, first.snapshot())
    assert read_on(again) == ([], []), "its end is known"
    path.write_bytes(b"1\n2\n3\n")
    assert read_on(part(path, again.snapshot())) == ([(3, b"3")], [Mark.DATA, Mark.END])


def test_a_batch_says_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n")
    ((key, batch),) = part(path).next_batch()
    assert (batch.topic, batch.partition, key) == (f"file:{path}", 0, f"file:{path}/0")
    assert batch.ingested_us > 1_700_000_000_000_000
    assert batch.origin is None
    assert topic_of(os.path.relpath(path)) == f"file:{path}"


def test_a_line_of_many_megabytes_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n" + b"x" * (64 << 20) + b"\n2\n" + b"y" * (8 << 20))
    partition = part(path, most_bytes=1 << 20)
    tracemalloc.start()
    found, _ = read_on(partition)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(number, len(value or b"")) for number, value in found] == [
        (1, 1), (2, (1 << 20) + 2), (3, 1), (4, (1 << 20) + 2),
    ]  # fmt: skip
    assert peak < 12 << 20


def test_a_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    for name, write in (("a", Path.write_bytes), ("a.gz", lambda path, text: path.write_bytes(gzip.compress(text)))):
        path = tmp_path / name
        write(path, b"1\n2\n3\n4\n")
        partition = part(path)
        read_on(partition, 1)
        write(path, b"1\n")
        with pytest.raises(FileError, match="new --recovery-dir"):
            part(path, partition.snapshot())


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_followed_file_that_is_another_one_is_said(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n2\n")
    partition = part(path, follow=True)
    read_on(partition)
    if how == "truncated":
        path.write_bytes(b"")
    else:
        (tmp_path / "b").write_bytes(b"1\n2\n3\n")
        (tmp_path / "b").rename(path)
    with pytest.raises(FileError, match="truncated or replaced"):
        partition.next_batch()


def test_a_followed_file_may_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1\n")
    partition = part(path, follow=True)
    read_on(partition)
    path.unlink()
    assert partition.next_batch() == []


def damaged(tmp_path: Path, how: str) -> Path:
    path = tmp_path / "a.gz"
    raw = gzip.compress(b"".join(b"%d\n" % number for number in range(5000)))
    cut = {
        "truncated": raw[: len(raw) // 2], "no trailer": raw[:-8], "no gzip": b"hello\n", "empty": raw[:5],
        "wrong checksum": raw[:-8] + bytes(8), "wrong bytes": raw[:3000] + bytes(99) + raw[3099:],
    }  # fmt: skip
    path.write_bytes(cut[how])
    return path


@pytest.mark.parametrize("how", [
    "truncated", "no trailer", "no gzip", "empty", "wrong checksum",
    "wrong bytes",
])  # fmt: skip
def test_a_damaged_gz_is_one_clear_error(tmp_path: Path, how: str) -> None:
    partition = part(damaged(tmp_path, how))
    with pytest.raises(FileError, match=r"a\.gz: line \d+: "):
        read_on(partition)


@pytest.mark.parametrize("how", ["truncated", "wrong bytes", "no gzip"])
def test_a_gz_that_was_damaged_before_the_position(tmp_path: Path, how: str) -> None:
    position = msgspec.msgpack.encode(Position(20_000, 4800))
    with pytest.raises(FileError):
        part(damaged(tmp_path, how), position)


@pytest.mark.parametrize("name", ["missing", "missing.gz", "."])
def test_what_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match=r"^\S+: [\w ]+$"):
        part(tmp_path / name)


def test_standard_input() -> None:
    code = (
        "from tests.sources.test_files import part, read_on\n"
        "one = part('-'); print(read_on(one)[0]); two = part('-', one.snapshot()); print(read_on(two))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"1\n\n2\n3\n4", capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["[(1, b'1'), (3, b'2'), (4, b'3'), (5, b'4')]", "([], [])"]


def test_standard_input_goes_on_counting() -> None:
    assert topic_of("-") == "file:-"
    position = Position(5, 2)
    reader = LineReader(io.BytesIO(b"3\n4\n"), position, LIMIT)
    assert reader.read(9, final=True) == ([b"3", b"4"], [3, 4])
    assert (position.byte, position.line) == (9, 4)


def test_each_file_is_a_part(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"1\n")
    source = FileSource([str(path) for path in paths], batch_size=7)
    assert source.list_parts() == [f"file:{path}" for path in paths]
    built = source.build_part("read", f"file:{paths[1]}", None)
    assert built.next_batch()[0][0] == f"file:{paths[1]}/0"
    built.close()
    with pytest.raises(FileError, match="belongs to another input"):
        source.build_part("read", "file:/elsewhere", None)
    with open_input(str(paths[0])) as stream:
        assert stream.read() == b"1\n"
