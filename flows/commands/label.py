"""`hindsight label`: a person's verdict about a pattern."""

from __future__ import annotations

import getpass
import json
import uuid
from datetime import UTC, datetime

import click

VERDICTS = {"true": "true_positive", "false": "false_positive", "expected": "expected"}
LEAST_PREFIX = 6


@click.command("label")
@click.argument("pattern")
@click.argument("verdict", type=click.Choice([*VERDICTS, "true_positive", "false_positive"]), metavar="VERDICT")
@click.option("--note", help="What there is to say about it.")
@click.option("--actor", help="Who says so; default: the user who runs the command.")
@click.option("--database-url", metavar="URL", help="The database. [ANALYTICS_DATABASE_URL]")
@click.option("--event", is_flag=True, help="Print the verdict as an event, for `hindsight publish -`; no database.")
def command(
    pattern: str, verdict: str, note: str | None, actor: str | None, database_url: str | None, event: bool
) -> None:
    """Say whether a pattern was right: VERDICT is true, false or expected (right, but nobody wants to hear of it).

    PATTERN is its id, or the first characters of it, as many as tell it from others. Detection learns from it within
    half a minute: in that series the detector's threshold rises with false and expected, and falls a little with true.
    How often each detector was right: the view detector_precision.

    \b
    Examples:
      hindsight label 7c496dde expected --note "load test"
      hindsight label 7c496dde-3569-5b36-b5a7-19d2ef6a435b false --event | hindsight publish -
    """
    from flows.cli import prepare  # noqa: PLC0415 -- `--help` needs neither settings nor driver
    from flows.databases import chosen_url  # noqa: PLC0415

    word = VERDICTS.get(verdict, verdict)
    who = actor or _user()
    if event:
        click.echo(json.dumps(_event(pattern, word, who, note)))
        return
    from sql.store.errors import StoreError  # noqa: PLC0415
    from sql.store.pool import Database  # noqa: PLC0415
    from sql.store.store import Store  # noqa: PLC0415

    url = chosen_url(prepare(database_url=database_url))
    try:
        with Database(url, application_name="hindsight-label") as database:
            patterns = Store(database).patterns
            found = patterns.patterns.get(_whole(patterns.starting_with(_hex(pattern)), pattern))
            patterns.label(found.id, word, actor=who, note=note)
    except StoreError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"{word}: {found.pattern_name} ({found.id})")


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _hex(text: str) -> str:
    plain = text.replace("-", "").lower()
    if not LEAST_PREFIX <= len(plain) <= 32 or not set(plain) <= set("0123456789abcdef"):
        raise click.UsageError(f"{text!r} is no pattern's id, nor {LEAST_PREFIX} or more of its first characters")
    return plain


def _whole(found: list[uuid.UUID], text: str) -> uuid.UUID:
    if not found:
        raise click.ClickException(f"no pattern's id begins with {text}")
    if len(found) > 1:
        raise click.ClickException(f"{text} begins {len(found)} or more ids: give more characters")
    return found[0]


def _event(pattern: str, verdict: str, actor: str | None, note: str | None) -> dict[str, object]:
    if len(_hex(pattern)) != 32:
        raise click.UsageError("--event needs the whole id of the pattern")
    said = {"pattern_id": str(uuid.UUID(pattern)), "verdict": verdict, "actor": actor, "note": note}
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "hindsight://label",
        "type": "dev.hindsight.pattern.labelled.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {name: value for name, value in said.items() if value is not None},
    }
