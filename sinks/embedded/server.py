"""Start, share and stop the embedded server."""

import atexit
import contextlib
import os
import re
import signal
import socket
import time
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]
import psycopg
from psycopg import sql

from sinks.embedded import programs
from sinks.embedded.folder import DataFolder, EmbeddedError, Owner, State, ended

DATABASE = "hindsight"
"""Name of the database."""

_BUSY = re.compile(r"pre-existing shared memory block|lock file .* already exists")
_PORT_TAKEN = re.compile(r"could not bind|Address already in use|could not create any TCP/IP sockets")


class EmbeddedPostgres:
    """The server of one data folder (made when missing; else it must be empty or one of ours).

    ``timeout`` is how long a start or a stop may take, in seconds.

    Works badly on a network file system (as PostgreSQL does), and on a folder that two containers share: each sees
    its own processes only, and takes the other's server for dead.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     EmbeddedPostgres(folder).is_running()
    False
    """

    def __init__(self, data_dir: str | os.PathLike[str], *, timeout: float = 90.0) -> None:
        self._folder = DataFolder(data_dir)
        self._timeout = timeout
        self._owner: int | None = None

    def start(self, leave_running: bool = False) -> str:
        """Start the server, or share one that runs already; returns its URL once it accepts connections.

        With ``leave_running`` it outlives this process; without, it ends with it, however that ends (on Linux even
        after ``kill -9``). One that was left running, or belongs to another living process, is shared as it is (see
        :attr:`owned`, :attr:`ends_with`); one whose process is dead is replaced. Raises :class:`EmbeddedError`.
        """
        with self._folder.locked(self._timeout):
            process = self._folder.postmaster()
            if process is not None and not self._may_share():
                self._end(process)
                process = None
            if process is not None:
                self._wait(process)
            else:
                self._launch(leave_running)
            return self._connectable_url()

    def stop(self) -> None:
        """End the server, whoever started it; nothing happens when none runs. Raises :class:`EmbeddedError`."""
        if self._folder.postmaster() is not None:
            with self._folder.locked(self._timeout):
                process = self._folder.postmaster()
                if process is not None:
                    self._end(process)
        self._owner = None
        atexit.unregister(self.close)

    def close(self) -> None:
        """End the server if it is :attr:`owned`, else leave it alone."""
        if self.owned:
            self.stop()

    @property
    def owned(self) -> bool:
        """Whether this object started the server, to end with this process."""
        return self._owner == os.getpid()

    @property
    def ends_with(self) -> int | None:
        """Number of the process that the running server ends with; None if it was left running, or does not run."""
        state = self._folder.state()
        return state.owner.pid if state and state.owner and self.is_running() else None

    def url(self) -> str:
        """URL of the running server; raises :class:`EmbeddedError` when none runs."""
        if not self.is_running():
            path = self._folder.path
            raise EmbeddedError(f"no server runs on {path}: start it with hindsight database start --data-dir {path}")
        return self._folder.url(DATABASE)

    def is_running(self) -> bool:
        """Whether a server on this folder accepts connections."""
        return self._folder.postmaster() is not None and self._folder.status() == "ready"

    def __enter__(self) -> Self:
        """Start for the length of the block."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server if this object started it."""
        self.close()

    def _may_share(self) -> bool:
        state = self._folder.state()
        orphan = state is None or (state.owner is not None and not state.owner.is_alive())
        return not orphan and self._folder.status() in {"starting", "ready"}

    def _end(self, process: psutil.Process) -> None:
        """Shut down fast (open transactions roll back), and hard when that takes too long."""
        for number, patience in ((signal.SIGINT, self._timeout), (signal.SIGQUIT, 10.0)):
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                return
            except psutil.AccessDenied as error:
                raise EmbeddedError(f"may not stop PostgreSQL (process {process.pid}): it is another user's") from error
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                if ended(process):
                    return
                time.sleep(0.02)
        raise EmbeddedError(f"PostgreSQL (process {process.pid}) does not stop; see {self._folder.log}")

    def _wait(self, process: psutil.Process, log_from: int = 0) -> None:
        """Wait until the server accepts connections; raises with the log's last lines when it ends or hangs."""
        deadline = time.monotonic() + self._timeout
        while not self._folder.is_ready(process):
            if ended(process):
                raise EmbeddedError(f"PostgreSQL did not start: {self._folder.last_words(log_from)}")
            if time.monotonic() > deadline:
                words = self._folder.last_words(log_from)
                raise EmbeddedError(f"PostgreSQL is not ready after {self._timeout:.0f} s: {words}")
            time.sleep(0.02)

    def _launch(self, leave_running: bool) -> None:
        try:
            account, major = programs.settle_account(self._folder, self._timeout)
            programs.initialise(self._folder, account, major, self._timeout)
            self._folder.drop_foreign_pid_file()
        except OSError as error:
            raise EmbeddedError(f"cannot use {self._folder.path}: {error}") from error
        known = self._folder.state()
        port = known.port if known and _is_free(known.port) else _free_port()
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._launch_once(account, port, leave_running)
                return
            except EmbeddedError as error:
                if time.monotonic() > deadline:
                    raise
                if _PORT_TAKEN.search(str(error)):
                    port = _free_port()
                elif _BUSY.search(str(error)):  # the last workers of a killed server are on their way out
                    time.sleep(0.2)
                else:
                    raise

    def _launch_once(self, account: programs.Account, port: int, leave_running: bool) -> None:
        log_from = self._folder.open_log()
        self._folder.note(State(port, None if leave_running else Owner.this_process()))
        process = programs.launch(self._folder, account, port, leave_running)
        try:
            self._wait(process, log_from)
        except BaseException:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGQUIT)
            raise
        if not leave_running:
            self._owner = os.getpid()
            atexit.register(self.close)

    def _connectable_url(self) -> str:
        """The URL, after one real connection; makes the database when it isn't there yet."""
        try:
            with psycopg.connect(self._folder.url("postgres"), autocommit=True, connect_timeout=10) as connection:
                row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
                if row is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        except psycopg.Error as error:
            raise EmbeddedError(f"the embedded server refuses a connection: {programs.one_line(str(error))}") from error
        return self._folder.url(DATABASE)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does: TIME_WAIT is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
