"""Where the schema departs from the specification's, and why.

The differences are computed: ``sql/specification.sql`` holds the specification's schema, and its catalogue is compared
with that of a migrated database. Each difference is a line such as ``type tasks.title: varchar(255) → text``; the first
of `REASONS` whose pattern fits it (as in a shell) explains it. A difference without a reason is an error, and so is a
reason without a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from flows.docs_reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.docs_catalogue import Column, Relation


class UnexplainedError(Exception):
    """Differences and reasons do not match; the message names those left over."""


@dataclass(frozen=True)
class Departure:
    """A reason and the differences it explains."""

    reason: str
    differences: tuple[str, ...]


def explain(differences: Sequence[str], reasons: Sequence[tuple[str, str]] = REASONS) -> list[Departure]:
    """Each reason with its differences, in the order of the reasons.

    Raises :class:`UnexplainedError`.

    >>> explain(["type a.b: int → text"], [("type *: int → *", "Because.")])
    [Departure(reason='Because.', differences=('type a.b: int → text',))]
    >>> explain(["type a.b: int → text"], [("null *", "Because.")])
    Traceback (most recent call last):
    flows.docs_departures.UnexplainedError: no reason for 'type a.b: int → text'; no difference for 'null *'
    """
    found: dict[str, list[str]] = {pattern: [] for pattern, _ in reasons}
    left = []
    for difference in differences:
        pattern = next((pattern for pattern in found if fnmatchcase(difference, pattern)), None)
        if pattern is None:
            left.append(f"no reason for {difference!r}")
        else:
            found[pattern].append(difference)
    left += [f"no difference for {pattern!r}" for pattern, hits in found.items() if not hits]
    if left:
        raise UnexplainedError("; ".join(left))
    explained: dict[str, list[str]] = {}
    for pattern, reason in reasons:
        explained.setdefault(reason, []).extend(found[pattern])
    return [Departure(reason, tuple(hits)) for reason, hits in explained.items()]


def differences(wanted: Mapping[str, Relation], found: Mapping[str, Relation]) -> list[str]:
    """What is other in ``found`` than in ``wanted``, table by table, one line a difference. Views are left out."""
    lines: list[str] = []
    for name, table in sorted(found.items()):
        if not table.is_table:
            continue
        if name in wanted:
            lines += _table(wanted[name], table)
        else:
            lines.append(f"table {name}: added")
    return lines + [f"table {name}: dropped" for name in wanted if name not in found or not found[name].is_table]


def _table(wanted: Relation, found: Relation) -> Iterator[str]:
    name = found.name
    old, new = ({column.name: column for column in table.columns} for table in (wanted, found))
    for column in [*old, *(column for column in new if column not in old)]:
        if column not in new:
            yield f"column {name}.{column}: dropped"
        elif column not in old:
            yield f"column {name}.{column}: added"
    for column in [column for column in new if column in old]:
        yield from _column(f"{name}.{column}", old[column], new[column])
    if wanted.key != found.key:
        yield f"key {name}: {wanted.key} → {found.key}"
    yield from _sets(f"unique {name}", wanted.uniques, found.uniques)
    yield from _sets(f"foreign key {name}", wanted.references, found.references)
    if found.checks:
        yield f"checks {name}: added"
    for index in sorted(wanted.indexes.keys() | found.indexes.keys()):
        before, after = wanted.indexes.get(index), found.indexes.get(index)
        if before is None or after is None:
            yield f"index {index}: {'added' if before is None else 'dropped'}"
        elif before != after:
            yield f"index {index}: {before} → {after}"


def _column(name: str, old: Column, new: Column) -> Iterator[str]:
    if old.kind != new.kind:
        yield f"type {name}: {old.kind} → {new.kind}"
    if old.nullable != new.nullable:
        yield f"null {name}: {'allowed' if new.nullable else 'refused'}"
    if old.default != new.default:
        yield f"default {name}: {old.default or 'none'} → {new.default or 'none'}"


def _sets(what: str, wanted: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    for one in sorted(set(wanted) ^ set(found)):
        yield f"{what}: {one} {'dropped' if one in wanted else 'added'}"
