"""The page of the queries: ``docs/queries.md``, from the files in ``sql/queries``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sql.questions import questions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sql.questions import Question

AREAS = {
    "series resources metric": "Series and samples",
    "pipelines pipeline runs steps": "Pipelines",
    "dora deployments": "Deployments",
    "tasks task": "Tasks",
    "integrations integration": "Integrations",
    "code": "Code",
    "patterns": "Patterns",
    "nights": "Nights",
    "records dead sources storage": "Data quality and storage",
}
"""First words of the names of queries, and the heading they stand under."""

INTRO = """Each answers one question, from views that the role `hindsight_reader` may read; [tables.md](tables.md) says
what their columns mean. They run as they stand in any SQL client, on plain PostgreSQL and on TimescaleDB alike: what is
usually changed, such as the range of time, is filled in with a default. A program takes the statement and gives values:

```python
from sql.questions import question

ask = question("pipelines_failing")
rows = connection.execute(ask.text(["most"]).encode(), {"most": 5}).fetchall()
```

A filter on `day`, `time` or the time column of a view keeps a query fast: only that part of the tables is read."""


def queries_page(note: str) -> str:
    """Every question with its SQL; ``note`` says that the page is generated."""
    parts = ["# Queries", note, INTRO]
    left = {one.name: one for one in questions()}
    for words, title in AREAS.items():
        shown = [left.pop(name) for name in list(left) if name.partition("_")[0] in words.split()]
        parts += [f"## {title}", *_shown(shown)]
    if left:
        raise LookupError(f"no heading in flows/docs_queries.py fits {', '.join(left)}")
    return "\n\n".join(parts) + "\n"


def _shown(area: Iterable[Question]) -> list[str]:
    parts = []
    for one in area:
        parameters = ", ".join(f"`{name}` (`{value}`)" for name, value in one.defaults.items())
        parts.append(f"### {one.asks}\n\n`{one.name}`: {parameters}\n\n```sql\n{one.filled()}\n```")
    return parts
