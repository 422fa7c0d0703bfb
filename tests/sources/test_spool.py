"""Spool files: whole lines, one writer, never shorter."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sources.spool import SpoolLockedError, SpoolWriter


def test_whole_lines_in_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def watched(descriptor: int, data: Any) -> int:
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr("sources.spool.os.write", watched)
    path = tmp_path / "new" / "a.jsonl"
    with SpoolWriter(path) as writer:
        assert writer.append([{"id": "1", "text": "é\n"}, {"id": "2"}]) == writer.size
        assert writer.append([]) == 0
    assert written == [b'{"id":"1","text":"\xc3\xa9\\n"}\n{"id":"2"}\n']
    assert path.read_bytes() == written[0]


def test_appends_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for number in range(3):
        with SpoolWriter(path) as writer:
            writer.append([{"n": number}])
    assert path.read_text() == '{"n":0}\n{"n":1}\n{"n":2}\n'


def test_a_torn_last_line_is_closed_and_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n":0}\n{"n":')
    with SpoolWriter(path) as writer:
        assert path.read_text() == '{"n":0}\n{"n":'
        writer.append([{"n": 1}])
        writer.append([{"n": 2}])
    assert path.read_text() == '{"n":0}\n{"n":\n{"n":1}\n{"n":2}\n'


def test_a_full_disk_leaves_whole_lines_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    write = os.write
    room = [5]

    def filling(descriptor: int, data: Any) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = write(descriptor, bytes(data)[: room[0]])
        room[0] -= count
        return count

    with SpoolWriter(path) as writer:
        monkeypatch.setattr("sources.spool.os.write", filling)
        with pytest.raises(OSError, match="No space"):
            writer.append([{"n": 1}])
        with pytest.raises(OSError, match="No space"):
            writer.append([{"n": 1}])
        room[0] = 1000
        writer.append([{"n": 2}])
        assert writer.size == path.stat().st_size
    assert path.read_text() == '{"n":\n{"n":2}\n'


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("sources.spool.os.write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    with SpoolWriter(tmp_path / "a.jsonl") as writer:
        writer.append([{"n": 1}, {"n": 2}])
    assert (tmp_path / "a.jsonl").read_text() == '{"n":1}\n{"n":2}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_hold_writes_nothing(tmp_path: Path, value: object) -> None:
    with SpoolWriter(tmp_path / "a.jsonl") as writer:
        with pytest.raises(ValueError):
            writer.append([{"n": 1}, {"n": value}])
        writer.append([{"n": 2}])
    assert (tmp_path / "a.jsonl").read_text() == '{"n":2}\n'


def test_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with SpoolWriter(path), pytest.raises(SpoolLockedError, match=r"a\.jsonl is being written"):
        SpoolWriter(path)
    with SpoolWriter(path):
        pass


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import pathlib, sys, time; from sources.spool import SpoolWriter;"
        "s = SpoolWriter(pathlib.Path(sys.argv[1])); s.append([{'n': 1}]); print('held', flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(SpoolLockedError):
            SpoolWriter(path)
        process.kill()
    with SpoolWriter(path) as writer:
        writer.append([{"n": 2}])
    assert path.read_text() == '{"n":1}\n{"n":2}\n'


def test_large_files_are_said_at_each_doubling(tmp_path: Path) -> None:
    said: list[str] = []
    with SpoolWriter(tmp_path / "a.jsonl", size_warning=100, on_large=said.append) as writer:
        for number in range(60):
            writer.append([{"n": number}])
    assert len(said) == 3  # past 100, 200-odd and 400-odd bytes
    assert all("a.jsonl" in text and "\n" not in text for text in said)


@pytest.mark.parametrize(("sync_seconds", "syncs"), [(0, 5), (3600, 0), (None, 0)])
def test_forced_to_disk_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync_seconds: float | None, syncs: int
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("sources.spool.os.fsync", calls.append)
    writer = SpoolWriter(tmp_path / "a.jsonl", sync_seconds=sync_seconds)
    for number in range(5):
        writer.append([{"n": number}])
    assert len(calls) == syncs
    writer.close()
    writer.close()
    assert len(calls) == syncs + 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        SpoolWriter(tmp_path / "file" / "a.jsonl")
