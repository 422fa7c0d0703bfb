"""What can go wrong between a caller and the database, by what the caller can do about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors


class StoreError(Exception):
    """Anything below; the message is one line, without credentials."""


class Misconfigured(StoreError):
    """The database URL can't be read."""


class Unavailable(StoreError):
    """The database can't be reached, or gave the work up: the same may succeed later."""


class Busy(StoreError):
    """All connections of the pool stayed in use for as long as a caller may wait."""


class QueryTimeout(StoreError):
    """A statement took longer than it may, or was cancelled by an administrator."""


class SchemaMissing(StoreError):
    """A table, column or function is not there: the database wants `hindsight migrate`."""


class NotPermitted(StoreError):
    """The account may not do this, or the transaction may only read."""


class NotFound(StoreError):
    """There is no such row, or no longer."""


class Conflict(StoreError):
    """The row is there but is not what the caller expected: somebody changed it first."""


class BadRequest(StoreError):
    """The question makes no sense: a limit out of bounds, an order that a listing does not have."""


class BadCursor(BadRequest):
    """The cursor is damaged, or of another listing, order or set of filters."""


class Refused(StoreError):
    """The database refuses the row; `constraint` is the name of the rule where it has one."""

    def __init__(self, message: str, constraint: str | None = None) -> None:
        super().__init__(message)
        self.constraint = constraint


@contextmanager
def translated(seconds: float) -> Iterator[None]:
    """Turn psycopg's errors into the ones above; `seconds` is the time that a statement may take.

    A mistake in our own SQL stays what it is.
    """
    try:
        yield
    except psycopg.Error as error:
        found = translation(error, seconds)
        if found is None:
            raise
        raise found from error


def translation(error: psycopg.Error, seconds: float) -> StoreError | None:
    """What an error of psycopg means here; None for a mistake in our own SQL."""
    match error:
        case errors.QueryCanceled():
            return QueryTimeout(f"a query was stopped: it may take {seconds:g} s")
        case psycopg.IntegrityError() | psycopg.DataError() | errors.ProgramLimitExceeded():
            return refusal(error)
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction():
            return SchemaMissing(f"{_first_line(error)}: the database may want `hindsight migrate`")
        case errors.InsufficientPrivilege() | errors.ReadOnlySqlTransaction():
            return NotPermitted(_first_line(error))
        case psycopg.OperationalError() | psycopg.InterfaceError() | psycopg.InternalError():
            return Unavailable(_first_line(error))
    return None


def refusal(error: psycopg.Error) -> Refused:
    """Why the database refuses a row, in words."""
    where, rule, column = error.diag.table_name or "", error.diag.constraint_name, error.diag.column_name
    words = _rule_in_words(rule or "", where)
    match error:
        case errors.UniqueViolation():
            reason = f"there is a row with the same key already ({words})"
        case errors.ForeignKeyViolation():
            reason = f"a row that it refers to, or that refers to it, stands in the way ({words})"
        case errors.NotNullViolation():
            reason = f"{column} is missing"
        case errors.CheckViolation() if words:
            reason = f"a value is out of its bounds ({words})"
        case _:
            reason = _first_line(error)
    return Refused(f"refused: {reason}", rule)


def _rule_in_words(rule: str, table: str) -> str:
    """A constraint's name without the parts that only make it unique: chunk numbers, the table, its kind.

    >>> _rule_in_words("event_correlations_pair", "event_correlations_p20260105")
    'pair'

    >>> _rule_in_words("3_7_detected_patterns_severity_check", "detected_patterns")
    'severity'
    >>> _rule_in_words("ml_models_model_name_model_version_key", "ml_models")
    'model name model version'
    """
    bare = re.sub(r"^(\d+_)+|_(check|key|fkey|pkey)\d*$", "", rule)
    table = re.sub(r"_p\d{8}x*$", "", table)
    return bare.removeprefix(table).strip("_").replace("_", " ") or bare.replace("_", " ")


def _first_line(error: psycopg.Error) -> str:
    lines = (error.diag.message_primary or str(error)).splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__
