"""Questions that people and dashboards ask: ``sql/queries/NAME.sql``, each with parameters that have defaults.

The first line of a file is a comment with the question, the second one gives a default, an SQL expression, to each
parameter::

    -- Which pipelines failed most often?
    -- With: from = now() - interval '30 d'; to = now(); most = 20

The rest is one statement over views, with psycopg's parameters ``%(from)s``. The files ``store_*.sql`` belong to the
data access layer and are no questions: their values come from a program.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sql.store.queries import query

WITH = "-- With: "
"""Begins the line of defaults."""

_PARAMETER = re.compile(r"%\((\w+)\)s")


class QuestionError(ValueError):
    """A file is not written as a question; the message is one line."""


@dataclass(frozen=True)
class Question:
    """A question, its statement, and the defaults of its parameters, by name in the order of the file."""

    name: str
    asks: str
    statement: str
    defaults: Mapping[str, str]

    def text(self, given: Collection[str] = ()) -> str:
        """The statement for psycopg: parameters in ``given`` stay, the others become their defaults.

        >>> print(question("tasks_oldest").text(["most"]).splitlines()[2])
        WHERE NULL::text IS NULL OR project_name = NULL::text
        >>> print(question("tasks_oldest").text(["most"]).splitlines()[-1])
        LIMIT %(most)s
        """
        unknown = set(given) - set(self.defaults)
        if unknown:
            raise QuestionError(f"{self.name} has no parameter {', '.join(sorted(unknown))}")

        def value(found: re.Match[str]) -> str:
            if found[1] in given:
                return found[0]
            default = self.defaults[found[1]]
            # A cast binds closer than an operator.
            return f"({default})" if " " in default and self.statement[found.end() :].startswith("::") else default

        return _PARAMETER.sub(value, self.statement)

    def filled(self) -> str:
        """The statement with its defaults, for any client."""
        return self.text().replace("%%", "%")


@cache
def question(name: str) -> Question:
    """One of them, by the name of its file.

    :raises QuestionError: when the file is not written as one, or a parameter has no default or no use.

    >>> question("pipelines_failing").asks
    'Which pipelines failed most often?'
    """
    asks, _, rest = query(name).decode().partition("\n")
    second, _, statement = rest.partition("\n")
    if not asks.startswith("-- ") or not second.startswith(WITH):
        raise QuestionError(f"sql/queries/{name}.sql does not begin with its question and the line {WITH!r}")
    pairs = [pair.partition(" = ") for pair in second.removeprefix(WITH).split("; ")]
    defaults = {key: value for key, _, value in pairs}
    if set(_PARAMETER.findall(statement)) != set(defaults):
        raise QuestionError(f"sql/queries/{name}.sql: its parameters are not those that its second line gives")
    return Question(name, asks.removeprefix("-- "), statement.strip(), defaults)


def questions() -> list[Question]:
    """All of them, by name."""
    names = [entry.name.removesuffix(".sql") for entry in (files("sql") / "queries").iterdir()]
    return [question(name) for name in sorted(names) if not name.startswith("store_")]
