"""The statements that bring staged rows into a table, for each way of merging. Built from `operators.tables` only."""

from psycopg import sql

from operators.tables import Merge, Table

DAY = "1 day"
NEAR = "31 d"
"""Events of one run may disagree about its start, and so about the chunk its row is in, by this much. Without a limit a
batch of runs would have to look into each chunk there is, compressed ones too."""


def _names(names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _row(prefix: str, names: tuple[str, ...]) -> sql.Composed:
    columns = sql.SQL(", ").join(sql.Identifier(prefix, name) for name in names)
    return sql.SQL("({})").format(columns)


def stage_name(table: Table) -> str:
    """The temporary table that rows are copied into first."""
    return f"stage_{table.name}"


def create_stage(table: Table) -> sql.Composed:
    """A session's staging table: the columns that the stream writes, no constraints, emptied by each commit."""
    return sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
        sql.Identifier(stage_name(table)), _names(table.names), sql.Identifier(table.name)
    )


def copy(table: Table, into: str) -> sql.Composed:
    """COPY of binary tuples in the table's column order."""
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(into), _names(table.names))


def retract(table: Table) -> sql.Composed:
    """Remove rows by their ids, the one parameter."""
    return sql.SQL("DELETE FROM {} WHERE id = ANY(%s)").format(sql.Identifier(table.name))


def merge(table: Table) -> list[sql.Composed]:
    """From the staging table into the real one, in the order of the key, so that writers don't deadlock."""
    match table.merge:
        case Merge.KEEP:
            return [_keep(table)]
        case Merge.REPLACE:
            return [_replace(table)]
        case Merge.NEWEST if table.group == table.key:
            return [_replace_older(table)]
        case Merge.NEWEST:
            return [_remove_losers(table), _insert_newest(table)]


def _keep(table: Table) -> sql.Composed:
    return sql.SQL("INSERT INTO {t} ({c}) SELECT {c} FROM {s} ORDER BY {k} ON CONFLICT ({k}) DO NOTHING").format(
        t=sql.Identifier(table.name),
        c=_names(table.names),
        s=sql.Identifier(stage_name(table)),
        k=_names(table.key),
    )


def _assignments(table: Table, newer: sql.Composable | None = None) -> sql.Composed:
    """What an update sets; with `newer`, a condition on both rows, only where that holds."""
    names = [name for name in table.names if name not in {*table.key, *table.keep_first}]
    if newer is None:
        return sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names)
    return sql.SQL(", ").join(
        sql.SQL("{c} = CASE WHEN {w} THEN {m} ELSE {h} END").format(
            c=sql.Identifier(name), w=newer, m=sql.Identifier("excluded", name), h=sql.Identifier(table.name, name)
        )
        for name in names
    )


def _replace(table: Table) -> sql.Composed:
    return sql.SQL("INSERT INTO {t} ({c}) SELECT {c} FROM {s} ORDER BY {k} ON CONFLICT ({k}) DO UPDATE SET {a}").format(
        t=sql.Identifier(table.name),
        c=_names(table.names),
        s=sql.Identifier(stage_name(table)),
        k=_names(table.key),
        a=_assignments(table),
    )


def _greatest_first(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(name)) for name in table.rank)


def _replace_older(table: Table) -> sql.Composed:
    """Where a group has one row only: the staged row with the greatest rank, unless the table's row is as new."""
    newer = sql.SQL("{} > {}").format(_row("excluded", table.rank), _row(table.name, table.rank))
    name: sql.Composable = sql.SQL("")
    value: sql.Composable = sql.SQL("")
    update, when = _assignments(table), newer
    if table.first is not None:
        first, of = (sql.Identifier(column) for column in table.first)
        held, made = sql.Identifier(table.name, table.first[0]), sql.Identifier("excluded", table.first[0])
        name = sql.SQL(", {}").format(first)
        value = sql.SQL(", min({}) OVER (PARTITION BY {})").format(of, _names(table.key))
        least = sql.SQL(", {f} = least({h}, {m})").format(f=first, h=held, m=made)
        update = _assignments(table, newer) + least
        when = sql.SQL("{} OR {} < {}").format(newer, made, held)
    return sql.SQL(
        "INSERT INTO {t} ({c}{n}) SELECT DISTINCT ON ({k}) {c}{v} FROM {s} ORDER BY {k}, {rank}"
        " ON CONFLICT ({k}) DO UPDATE SET {a} WHERE {when}"
    ).format(
        t=sql.Identifier(table.name), c=_names(table.names), n=name, v=value, k=_names(table.key),
        s=sql.Identifier(stage_name(table)), rank=_greatest_first(table), a=update, when=when,
    )  # fmt: skip


def _winners(table: Table) -> sql.Composed:
    """For each group the rank of its winning event among the staged rows."""
    return sql.SQL("SELECT DISTINCT ON ({g}) {g}, {r} FROM {s} ORDER BY {g}, {rank}").format(
        g=_names(table.group), r=_names(tuple(n for n in table.rank if n not in table.group)),
        s=sql.Identifier(stage_name(table)), rank=_greatest_first(table),
    )  # fmt: skip


def neighbourhood(table: Table) -> sql.Composed:
    """From when to when rows of the staged rows' groups may stand, as text."""
    return sql.SQL("SELECT (min({c}) - {near}::interval)::text, (max({c}) + {near}::interval)::text FROM {s}").format(
        c=sql.Identifier(table.time), near=sql.Literal(NEAR), s=sql.Identifier(stage_name(table))
    )


def _near(table: Table) -> sql.Composable:
    """A condition on rows `t`, with the parameters `from` and `to`, that leaves the chunks of other times alone."""
    if not table.time:
        return sql.SQL("")
    return sql.SQL(" AND {} BETWEEN %(from)s::timestamptz AND %(to)s::timestamptz").format(
        sql.Identifier("t", table.time)
    )


def ensure_partitions(table: Table) -> sql.Composed:
    """Make the partitions for days, the parameter `days`: their numbers since 2000-01-01."""
    return sql.SQL(
        "SELECT ensure_partitions({t}::regclass, ARRAY("
        "SELECT '2000-01-01Z'::timestamptz + day * {w}::interval FROM unnest(%(days)s::bigint[]) AS day))"
    ).format(t=sql.Literal(table.name), w=sql.Literal(DAY))


def ensure_staged_partitions(table: Table) -> sql.Composed:
    """Make the partitions for the times of the staged rows."""
    return sql.SQL(
        "SELECT ensure_partitions({t}::regclass,"
        " ARRAY(SELECT DISTINCT date_bin({w}::interval, {c}, '2000-01-01Z') FROM {s}))"
    ).format(
        t=sql.Literal(table.name),
        w=sql.Literal(DAY),
        c=sql.Identifier(table.time),
        s=sql.Identifier(stage_name(table)),
    )


def _remove_losers(table: Table) -> sql.Composed:
    return sql.SQL("DELETE FROM {t} AS t USING ({w}) AS w WHERE {tg} = {wg} AND {tr} < {wr}{near}").format(
        t=sql.Identifier(table.name),
        w=_winners(table),
        tg=_row("t", table.group),
        wg=_row("w", table.group),
        tr=_row("t", table.rank),
        wr=_row("w", table.rank),
        near=_near(table),
    )


def _insert_newest(table: Table) -> sql.Composed:
    """Only the winners' rows, and only where the table holds none of the same group with a greater or equal rank."""
    return sql.SQL(
        "INSERT INTO {t} ({c}) SELECT DISTINCT ON ({k}) {sc} FROM {s} AS s"
        " JOIN ({w}) AS w ON {sg} = {wg} AND {sr} = {wr}"
        " WHERE NOT EXISTS (SELECT FROM {t} AS t WHERE {tg} = {sg} AND {tr} > {sr}{near})"
        " ORDER BY {k} ON CONFLICT ({kc}) DO UPDATE SET {a} WHERE {xr} > {or_}"
    ).format(
        t=sql.Identifier(table.name),
        c=_names(table.names),
        k=sql.SQL(", ").join(sql.Identifier("s", name) for name in table.key),
        kc=_names(table.key),
        sc=sql.SQL(", ").join(sql.Identifier("s", name) for name in table.names),
        s=sql.Identifier(stage_name(table)),
        w=_winners(table),
        sg=_row("s", table.group),
        wg=_row("w", table.group),
        sr=_row("s", table.rank),
        wr=_row("w", table.rank),
        tg=_row("t", table.group),
        tr=_row("t", table.rank),
        a=_assignments(table),
        xr=_row("excluded", table.rank),
        or_=_row(table.name, table.rank),
        near=_near(table),
    )
