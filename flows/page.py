"""The HTTP API and its page beside `hindsight up`: a process of its own, so that requests cost the flow nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from flows.settings import Settings, variable
from sql.store.errors import StoreError
from sql.store.pool import Database
from sql.store.store import Store

LOG = logging.getLogger(__name__)

NEEDED = ("fastapi", "uvicorn")
START_SECONDS = 20.0
END_SECONDS = 10.0
TOKEN_DAYS = 30
"""For a process that is killed and can't revoke its token."""
TOKEN_NAME = "page of hindsight up"


class PageError(Exception):
    """One line: why there is no page."""


class Page:
    """Serves until `stop`; ends by itself when this process is gone, however it went."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._process: subprocess.Popen[str] | None = None
        self._token: uuid.UUID | None = None

    def start(self) -> str:
        """Start it, and give its address: on this machine's own with a token in it, so that people can judge patterns.

        A port that is taken is an error where somebody has chosen it, else any free one is used.
        Raises :class:`PageError`.
        """
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise PageError(f"no page: {missing[0]} is missing: pip install 'hindsight[api]'")
        address, problem = self._begun(self._settings.api_port)
        if not address and "can't be used" in problem and "api_port" not in self._settings.model_fields_set:
            address, problem = self._begun(0)
        if not address:
            raise PageError(f"no page: {problem or 'the API did not start'} (see api.log in the data folder)")
        return f"{address}/{self._fragment()}"

    def stop(self) -> None:
        """End it; no-op when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        self._revoke()
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _begun(self, port: int) -> tuple[str, str]:
        """The address, or an empty text and the last line of the log."""
        settings = self._settings
        log = settings.data_dir / "api.log"
        # In the environment, for a command line can be seen by all.
        environment = {
            **os.environ,
            variable("database_url"): self._url,
            variable("data_dir"): str(settings.data_dir),
            variable("api_host"): settings.api_host,
            variable("api_port"): str(port),
        }
        if settings.metrics_port and "api_flow_metrics" not in settings.model_fields_set:
            environment[variable("api_flow_metrics")] = (
                f"http://{settings.metrics_host}:{settings.metrics_port}/metrics"
            )
        with log.open("ab") as output:
            before = output.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", "flows", "api", "--with-parent"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                start_new_session=True,  # Ctrl-C is for this process, which ends that one
            )
        slow = threading.Timer(START_SECONDS, process.kill)
        slow.start()
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        slow.cancel()
        if address:
            self._process = process
            return address, ""
        process.kill()
        process.wait()
        return "", _last_line(log, before)

    def _fragment(self) -> str:
        from api.shield import is_loopback  # noqa: PLC0415 -- without the extra it isn't there
        from api.tokens import new_token  # noqa: PLC0415

        if not is_loopback(self._settings.api_host):
            return ""
        token, row = new_token(TOKEN_NAME, "write")
        row = msgspec.structs.replace(row, expires_at=datetime.now(UTC) + timedelta(days=TOKEN_DAYS))
        try:
            with Database(self._url, application_name="hindsight-up") as database:
                Store(database).tokens.tokens.create(row)
        except StoreError as problem:
            LOG.info("no token for the page: %s", problem)
            return ""
        self._token = row.id
        return f"#token={token}"

    def _revoke(self) -> None:
        if self._token is None:
            return
        try:
            with Database(self._url, wait=2.0, application_name="hindsight-up") as database:
                Store(database).tokens.revoke(self._token)
        except StoreError as problem:
            LOG.warning("the page's token is not revoked: %s", problem)
        self._token = None


def _last_line(log: Path, since: int) -> str:
    with log.open("rb") as output:
        output.seek(since)
        lines = output.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("hindsight: ") if lines else ""
