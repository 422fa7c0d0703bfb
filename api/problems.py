"""Errors as RFC 9457 problem details: a title, a sentence, and nothing of what goes on inside."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from sql.store import errors

log = logging.getLogger(__name__)

MEDIA = "application/problem+json"
INTERNAL = "Something went wrong here; the operator's log says what."
RETRY = "2"
"""Seconds after which a caller may try again what failed for want of the database."""

_STORE: tuple[tuple[type[errors.StoreError], int, str], ...] = (
    (errors.BadCursor, 409, "cursor-of-another-listing"),
    (errors.BadRequest, 422, "bad-request"),
    (errors.NotFound, 404, "not-found"),
    (errors.Conflict, 409, "conflict"),
    (errors.Refused, 422, "refused"),
    (errors.QueryTimeout, 503, "too-slow"),
    (errors.Busy, 503, "busy"),
    (errors.SchemaMissing, 503, "database-not-migrated"),
    (errors.Unavailable, 503, "database-away"),
    (errors.NotPermitted, 503, "database-refuses"),
    (errors.StoreError, 503, "database"),
)
_HIDDEN = {
    "database-away": "The database can't be reached.",
    "database-refuses": "The database refuses this account; the operator's log says what.",
    "database": "The database can't be used; the operator's log says why.",
    "database-not-migrated": "The database lacks tables: `hindsight migrate` makes them.",
}
"""What a caller is told instead of a message that may name hosts, accounts or tables."""

_ROWS = {
    "detected_patterns": "pattern",
    "optimization_opportunities": "recommendation",
    "incidents": "incident",
    "analyses": "analysis",
    "ml_models": "model",
    "series": "series",
}
"""What a row of a table is."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one part of a request."""

    where: str
    """`query.limit`, `path.id`, or `body` and a path in it."""
    detail: str


class Problem(Exception):
    """An error for the caller; raise it anywhere in a request."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = fields
        self.headers = dict(headers or {})


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    """A name of the kind of problem that does not change."""
    title: str
    status: int
    detail: str
    instance: str = ""
    """The path that was asked for."""
    request_id: str = ""
    """To be found in the operator's log."""
    errors: list[FieldError] = []


def body_of(problem: Problem, path: str = "", request_id: str = "") -> bytes:
    """The problem as JSON.

    >>> body_of(Problem(404, "not-found", "There is no pattern 7."))[:45]
    b'{"type":"urn:hindsight:problem:not-found","ti'
    """
    return msgspec.json.encode(
        ProblemBody(
            type=f"urn:hindsight:problem:{problem.code}",
            title=HTTPStatus(problem.status).phrase,
            status=problem.status,
            detail=problem.detail,
            instance=path[:2000],
            request_id=request_id,
            errors=list(problem.fields),
        )
    )


def response_of(request: Request, problem: Problem) -> Response:
    """The problem as a response."""
    path = request.scope.get("state", {}).get("path", request.url.path)
    request_id = request.scope.get("state", {}).get("request_id", "")
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(body_of(problem, path, request_id), problem.status, headers, MEDIA)


def of_store(error: errors.StoreError) -> Problem:
    """What an error of the database means for the caller."""
    for kind, status, code in _STORE:
        if isinstance(error, kind):
            headers = {"Retry-After": RETRY} if status == 503 else {}
            if status == 503:
                log.warning("%s: %s", code, error)
            return Problem(status, code, _HIDDEN.get(code, _plain(str(error))), headers=headers)
    raise AssertionError(f"no problem for {type(error).__name__}")


def _plain(said: str) -> str:
    """The message without the name of a table.

    >>> _plain("detected_patterns has no row 7"), _plain("limit is from 1 to 1000, not 0")
    ('There is no pattern 7.', 'limit is from 1 to 1000, not 0')
    """
    table, found, key = said.partition(" has no row ")
    return f"There is no {_ROWS.get(table, 'row')} {key}." if found else said


def of_validation(error: RequestValidationError) -> Problem:
    """What is wrong with the parameters, each by its place."""
    fields = [
        FieldError(".".join(str(part) for part in one["loc"]), str(one["msg"])[:300]) for one in error.errors()[:20]
    ]
    return Problem(422, "bad-request", "; ".join(f"{f.where}: {f.detail}" for f in fields)[:1000], fields=fields)


def _methods(request: Request) -> set[str]:
    """All methods of a path: each of its routes knows of its own alone."""
    found: set[str] = set()
    for method in ("GET", "POST", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found.add(method)
    return found


def install(app: FastAPI) -> None:
    """Make every error of an application a problem."""

    async def on_problem(request: Request, error: Any) -> Response:
        return response_of(request, error)

    async def on_store(request: Request, error: Any) -> Response:
        return response_of(request, of_store(error))

    async def on_validation(request: Request, error: Any) -> Response:
        return response_of(request, of_validation(error))

    async def on_http(request: Request, error: Any) -> Response:
        said = {404: "There is nothing at this path.", 405: "This path does not take that method."}
        detail = said.get(error.status_code, str(error.detail))
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(request)))
        return response_of(request, Problem(error.status_code, code, detail, headers=headers))

    async def on_any(request: Request, _: Any) -> Response:
        # The shield logs it: it is raised on once this is sent.
        return response_of(request, Problem(500, "internal", INTERNAL))

    app.add_exception_handler(Exception, on_any)
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(errors.StoreError, on_store)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
