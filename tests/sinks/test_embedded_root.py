"""Leaving root: the server runs as an ordinary user whatever folder its data is in."""

import json
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks.embedded import EmbeddedError, EmbeddedPostgres, programs
from sinks.embedded.launch import WAYS
from tests.sinks.test_embedded import process_of, python, scalar

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is about leaving root")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter (pytest's own are closed)."""
    path = Path("/var/tmp") / f"hindsight-test-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


def accounts() -> list[Any]:
    return sorted(pwd.getpwall())


@ROOT_ONLY
@pytest.mark.parametrize("way", WAYS)
def test_root_is_left_in_each_way(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a folder that only root may enter, all but the plain way work."""
    monkeypatch.setattr(programs, "WAYS", (way,))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    known = accounts()
    server = EmbeddedPostgres(closed / "pg")
    if way == "plain":
        with pytest.raises(EmbeddedError, match=r"cannot run PostgreSQL \(plain\): .*/pg: permission denied"):
            server.start()
    else:
        with server:
            assert scalar(server.url(), "SELECT pg_postmaster_start_time() IS NOT NULL")
            uids = process_of(closed / "pg").uids()
            assert (uids.real == 0) == (way == "namespace")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == 0
    assert accounts() == known


@ROOT_ONLY
def test_where_nothing_is_closed_root_keeps_no_privilege(open_folder: Path) -> None:
    if any(not folder.stat().st_mode & stat.S_IXOTH for folder in programs.programs().parents):
        pytest.skip("the programs themselves lie below a folder that only root may enter")
    with EmbeddedPostgres(open_folder / "pg"):
        status = Path(f"/proc/{process_of(open_folder / 'pg').pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "CapAmb:\t0000000000000000" in status


@ROOT_ONLY
def test_without_any_way_the_error_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(programs, "WAYS", ("plain", "plain"))
    with pytest.raises(EmbeddedError) as failure:
        EmbeddedPostgres(closed / "pg").start()
    assert str(failure.value).count("cannot run PostgreSQL (plain): ") == 1  # said once, though refused twice
    assert "\n" not in str(failure.value)


@ROOT_ONLY
def test_an_ordinary_user_needs_nothing_and_may_share_with_root(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    text = """
        import sys
        from sinks.embedded import EmbeddedPostgres
        with EmbeddedPostgres(sys.argv[1]) as server:
            print(server._folder.postmaster().uids().real)
        """
    # Python itself may lie below a closed folder (/root/.pyenv): "search" lets this user in there.
    spec = json.dumps({"way": "search", "uid": nobody.pw_uid, "gid": nobody.pw_gid})
    launcher = [sys.executable, "-I", "-S", str(programs.LAUNCHER), spec]
    for _ in range(2):
        process = python(text, open_folder / "pg", launcher=launcher)
        assert process.communicate(timeout=60)[0].split() == [str(nobody.pw_uid)]
        with EmbeddedPostgres(open_folder / "pg") as server:
            assert scalar(server.url(), "SELECT 1") == 1
            assert process_of(open_folder / "pg").uids().real == nobody.pw_uid
