"""`hindsight token`: who may use the HTTP API."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sql.store.store import Store

URL = click.option(
    "--database-url",
    metavar="URL",
    help="The database. [ANALYTICS_DATABASE_URL; default: the embedded one, if it runs]",
)


@click.group("token")
def command() -> None:
    """Make, list and revoke tokens of the HTTP API.

    A token is shown once, when it is made: the database holds its hash alone.

    \b
    Example:
      hindsight token create ci --scope write
      hindsight token list
      hindsight token revoke 3f1c…
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "write", "admin"]),
    default="read",
    show_default=True,
    help="What it allows: read; write = that, events, feedback and analyses; admin = everything.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True, max=36_500), help="Days until it expires.")
@URL
def create(name: str, scope: str, days: float | None, database_url: str | None) -> None:
    """Make a token for NAME, and print it: the only line on standard output.

    \b
    Example:
      curl -H "Authorization: Bearer $(hindsight token create ci --scope write)" …
    """
    import msgspec  # noqa: PLC0415 -- --help loads none of it

    from api.tokens import new_token  # noqa: PLC0415

    if not 1 <= len(name) <= 200 or "\0" in name:
        raise click.UsageError("NAME has 1 to 200 characters")
    token, row = new_token(name, scope)
    if days is not None:
        row = msgspec.structs.replace(row, expires_at=datetime.now(UTC) + timedelta(days=days))
    _with_store(database_url, lambda store: store.tokens.tokens.create(row))
    click.echo(f"token {row.id} for {name}, scope {scope}; it is shown this once:", err=True)
    click.echo(token)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of lines.")
@URL
def list_(as_json: bool, database_url: str | None) -> None:
    """List tokens: id, scope, state, when each was last used, name. Never the tokens themselves.

    \b
    Example:
      hindsight token list --json
    """
    now = datetime.now(UTC)
    rows = []

    def read(store: Store) -> None:
        for one in store.tokens.listing():
            expired = one.expires_at is not None and one.expires_at <= now
            rows.append(
                {
                    "id": str(one.id),
                    "name": one.name,
                    "scope": one.scope,
                    "state": "revoked" if one.revoked_at else "expired" if expired else "valid",
                    "created_at": one.created_at.isoformat() if one.created_at else None,
                    "expires_at": one.expires_at.isoformat() if one.expires_at else None,
                    "last_used_at": one.last_used_at.isoformat() if one.last_used_at else None,
                }
            )

    _with_store(database_url, read)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        used = (row["last_used_at"] or "never")[:16]
        click.echo(f"{row['id']}  {row['scope']:<5}  {row['state']:<7}  last used {used:<16}  {row['name']}")
    if not rows:
        click.echo("no tokens: hindsight token create NAME --scope write makes one", err=True)


@command.command("revoke")
@click.argument("token_id")
@URL
def revoke(token_id: str, database_url: str | None) -> None:
    """Refuse a token from now on, by its id (as `hindsight token list` shows it). API processes notice in 5 s.

    \b
    Example:
      hindsight token revoke 3f1c6e0a-7c55-4f0e-9a43-0e6f5d1c2b3a
    """
    try:
        identifier = uuid.UUID(token_id)
    except ValueError:
        raise click.UsageError(f"{token_id!r} is no token's id") from None
    _with_store(database_url, lambda store: store.tokens.revoke(identifier))
    click.echo(f"revoked: {identifier}")


def _with_store(database_url: str | None, act: object) -> None:
    """Do something with the store of the chosen database; what goes wrong is one line."""
    from flows.cli import prepare  # noqa: PLC0415
    from flows.databases import chosen_url  # noqa: PLC0415
    from sql.store.errors import StoreError  # noqa: PLC0415
    from sql.store.pool import Database  # noqa: PLC0415
    from sql.store.store import Store  # noqa: PLC0415

    assert callable(act)
    url = chosen_url(prepare(database_url=database_url))
    try:
        with Database(url, application_name="hindsight-token") as database:
            act(Store(database))
    except StoreError as problem:
        raise click.ClickException(str(problem)) from None
