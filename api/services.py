"""What the routes work with, made once a process."""

from dataclasses import dataclass

import msgspec
from fastapi import Request, Response

from api.config import ApiConfig
from api.feed import Feed
from api.flowstate import Flows
from api.intake import Intake
from api.jobs import Runner
from api.metrics import ApiMetrics
from api.problems import Problem
from api.tokens import Caller
from sql.store.store import Store

_encode = msgspec.json.Encoder().encode
ADMIN = "admin"


@dataclass(frozen=True)
class Services:
    """The parts of a running API. `intake` is None where events are not taken, `runner` where nothing is analysed."""

    config: ApiConfig
    store: Store
    metrics: ApiMetrics
    feed: Feed
    flows: Flows
    intake: Intake | None = None
    runner: Runner | None = None


def reply(shape: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A shape as a JSON response."""
    return Response(_encode(shape), status, headers, "application/json")


def page_reply(request: Request, items: object, after: str | None) -> Response:
    """A page of a list, with a link to the next one."""
    if after is None:
        return reply(items)
    prefix = request.scope["state"]["prefix"]
    query = request.url.include_query_params(after=after).query
    return reply(items, headers={"Link": f'<{prefix}{request.url.path}?{query}>; rel="next"'})


def caller_of(request: Request) -> Caller:
    """Who asks."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def allowed(request: Request, scope: str) -> Caller:
    """The caller, if its token has the scope; raises `Problem` 401 or 403."""
    caller = caller_of(request)
    if caller.scope is None:
        raise Problem(
            401,
            "token-missing",
            "This takes a token: `hindsight token create` makes one.",
            headers={"WWW-Authenticate": 'Bearer realm="hindsight"'},
        )
    if not caller.may(scope):
        headers = {"WWW-Authenticate": f'Bearer realm="hindsight", error="insufficient_scope", scope="{scope}"'}
        raise Problem(403, "scope-too-small", f"This takes a token with the scope {scope}.", headers=headers)
    return caller
