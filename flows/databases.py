"""Which database a command speaks to when nobody names one."""

from __future__ import annotations

from pathlib import Path

from flows.settings import Settings
from sinks.embedded import EmbeddedError, EmbeddedPostgres

API_SPOOL = "api.jsonl"
"""Spool file in which `hindsight api` keeps the events sent to it, and which `hindsight up` follows."""


def embedded_folder(settings: Settings) -> Path:
    """Folder of the embedded server that `hindsight up` and `hindsight database` share."""
    return settings.data_dir / "postgres"


def chosen_url(settings: Settings) -> str:
    """The database named by option, variable or `.env`; else the embedded one while it runs; else the default."""
    if "database_url" not in settings.model_fields_set:
        try:
            server = EmbeddedPostgres(embedded_folder(settings))
            if server.is_running():
                return server.url()
        except (EmbeddedError, OSError):
            pass  # another account's server: the default says what is missing
    return settings.database_url
