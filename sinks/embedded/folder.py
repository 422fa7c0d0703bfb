"""A data folder: its files, its lock, and the server that runs on it."""

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

USER = "hindsight"
"""The role everything connects as; it owns the database."""

_OURS = {"server.json", "cluster", "cluster.new", "password", "lock"}
_LOG_LIMIT = 10 * 1024 * 1024
_START_LINE, _STATUS_LINE = 2, 7  # of postmaster.pid, counted from 0
_TELLING = re.compile(r"FATAL|PANIC|could not|cannot|denied|invalid")


class EmbeddedError(RuntimeError):
    """The embedded server could not do what was asked; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Owner:
    """The process that a server ends with; ``started`` (epoch seconds) tells it from a later one of the same number."""

    pid: int
    started: float

    @classmethod
    def this_process(cls) -> "Owner":
        """The process that asks."""
        return cls(os.getpid(), psutil.Process().create_time())

    def is_alive(self) -> bool:
        """Whether it still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < 2.0 and not ended(process)
        except psutil.Error:
            return False


@dataclass(frozen=True)
class State:
    """What ``server.json`` holds. ``owner`` is None for a server that was left running."""

    port: int
    owner: Owner | None


class DataFolder:
    """``cluster/`` (PostgreSQL's own), ``password`` (0600), ``server.json``, ``server.log``, ``lock``.

    All files belong to the folder's owner, also those that root writes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        self.cluster = self.path / "cluster"
        self.log = self.path / "server.log"

    @contextlib.contextmanager
    def locked(self, timeout: float) -> Iterator[None]:
        """Make the folder if it is missing, and hold its lock: one process at a time starts or stops its server."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()}
            if names and not names & _OURS:
                raise EmbeddedError(
                    f"{self.path} is not empty and holds no server of Hindsight; give another --data-dir"
                )
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(f"cannot use {self.path}: {error.strerror or error}") from error
        try:
            self.give_away([self.path / "lock"])
            _lock(descriptor, timeout, self.path)
            yield
        finally:
            os.close(descriptor)

    def write(self, name: str, text: str) -> Path:
        """Replace a file in one step; its owner alone may read it."""
        path, draft = self.path / name, self.path / f"{name}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        self.give_away([draft])
        return draft.replace(path)

    def give_away(self, paths: Sequence[Path]) -> None:
        """Give files that root made to the folder's owner."""
        if os.geteuid() == 0:
            owner = self.path.stat()
            for path in paths:
                os.chown(path, owner.st_uid, owner.st_gid)

    def hand_over(self, uid: int, gid: int) -> None:
        """Give this folder, and none above it, to an account."""
        if (self.path.stat().st_uid, self.path.stat().st_gid) == (uid, gid):
            return
        # The folder itself comes last: if this is interrupted, the next start does it again.
        for folder, _, names in os.walk(self.path, topdown=False):
            for path in (*(os.path.join(folder, name) for name in names), folder):
                os.chown(path, uid, gid, follow_symlinks=False)

    def state(self) -> State | None:
        """What was noted at the last start; None when nothing (or nothing legible) was."""
        try:
            found: dict[str, Any] = json.loads((self.path / "server.json").read_text(encoding="utf-8"))
            owner = found["owner"]
            return State(int(found["port"]), Owner(int(owner["pid"]), float(owner["started"])) if owner else None)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, state: State) -> None:
        """Write ``server.json``."""
        self.write("server.json", json.dumps(asdict(state)) + "\n")

    def url(self, database: str) -> str:
        """URL of a database at the port of the last start."""
        state = self.state()
        if state is None:
            raise EmbeddedError(
                f"{self.path / 'server.json'} is missing or damaged: stop the server and start it again"
            )
        try:
            password = (self.path / "password").read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise EmbeddedError(f"cannot read the server's password: {error}") from error
        return f"postgresql://{USER}:{password}@127.0.0.1:{state.port}/{database}"

    def postmaster(self) -> psutil.Process | None:
        """The live server of this folder. A number in its pid file that another program got since is none."""
        lines = self._pid_file()
        try:
            process = psutil.Process(int(lines[0])) if lines else None
            alive = process is not None and not ended(process) and str(self.cluster) in process.cmdline()
            return process if alive else None
        except (psutil.Error, ValueError):
            return None

    def status(self) -> str:
        """The server's own word for its state: starting, ready or stopping."""
        lines = self._pid_file()
        return lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else "starting"

    def is_ready(self, process: psutil.Process) -> bool:
        """Whether that very process accepts connections."""
        return self._pid_file()[:1] == [str(process.pid)] and self.status() == "ready"

    def drop_foreign_pid_file(self) -> None:
        """Remove the pid file if its number belongs to a later, other program, which PostgreSQL would wait for in vain.

        In all other cases it stays: PostgreSQL finds in it whether workers of a killed server are still alive.
        """
        lines = self._pid_file()
        try:
            later = psutil.Process(int(lines[0])).create_time() > float(lines[_START_LINE]) + 2.0
        except (psutil.Error, ValueError, IndexError):
            return
        if later:
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def open_log(self) -> int:
        """Make the log, or keep it bounded; returns where the lines of this start will begin, in bytes."""
        size = self.log.stat().st_size if self.log.exists() else 0
        if size > _LOG_LIMIT:
            self.log.replace(self.path / "server.log.1")
            size = 0
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT, 0o600))
        self.give_away([self.log])
        return size

    def last_words(self, log_from: int) -> str:
        """The last telling lines of the log as one, for an error message."""
        try:
            with self.log.open("rb") as file:
                file.seek(log_from)
                lines = [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
        except OSError:
            lines = []
        telling = [line for line in lines if _TELLING.search(line)] or lines
        return f"{' / '.join(telling[-3:]) or 'it said nothing'} (log: {self.log})"

    def _pid_file(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise EmbeddedError(f"cannot use {self.path}: {error.strerror or error}") from error


def ended(process: psutil.Process) -> bool:
    """Whether a process is gone, or only waits to be reaped."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _lock(descriptor: int, timeout: float, path: Path) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise EmbeddedError(f"another process has been busy with {path} for {timeout:.0f} s") from None
            time.sleep(0.05)
