"""SQL of some length, kept in ``sql/queries/*.sql``: the first line says what it answers, values are parameters."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> bytes:
    """The text of ``sql/queries/NAME.sql``.

    >>> query("store_task_flow").startswith(b"-- ")
    True
    """
    return (files("sql") / "queries" / f"{name}.sql").read_bytes()
