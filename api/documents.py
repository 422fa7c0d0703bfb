"""The OpenAPI description, made from the classes that the answers are made from."""

import re
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA, ProblemBody

REFERENCE = "#/components/schemas/{name}"
DESCRIPTION = """What Hindsight found in the history of your systems, and the way in for events and verdicts.

Lists go by pages: the header `Link` holds the next one (`rel="next"`). Errors are problem details (RFC 9457). Writing
takes a token (`hindsight token create`), reading only where the operator says so. Every path is there below `/api/v1`
too."""

_SHAPES: dict[str, Any] = {}
_EXAMPLES: list[Any] = []
"""Put in at the end: FastAPI drops every null on its way."""

_WORDS = {
    401: "The token is missing or not valid.",
    403: "The token's scope does not allow this.",
    404: "There is no such thing.",
    408: "The body took too long to arrive.",
    409: "It can't be done as things are now.",
    413: "The request is too large.",
    415: "The content type is none of those that this path takes.",
    422: "The request makes no sense.",
    429: "Too many requests; see `Retry-After`.",
    500: "Something went wrong here.",
    503: "The database or Kafka is away, or too busy; see `Retry-After`.",
}
_ALWAYS = (401, 429, 500, 503)


def answers(
    shape: Any,
    *problems: int,
    example: Any = None,
    status: int = 200,
    media: str = "application/json",
    about: str = "",
    pages: bool = False,
) -> dict[str, Any]:
    """Arguments of a route's decorator: what it answers with, and which problems there may be.

    `shape` is a msgspec type, or None where the body is no JSON.
    """
    content: dict[str, Any] = {"schema": _named(shape) if shape is not None else {"type": "string"}}
    if example is not None:
        content["example"] = _kept(example)
    found: dict[int | str, dict[str, Any]] = {
        status: {"description": about or "Done.", "content": {media: content}},
    }
    if pages:
        link = {"description": '`<URL>; rel="next"`, where there is a next page.', "schema": {"type": "string"}}
        found[status]["headers"] = {"Link": link}
    for code in sorted({*problems, *_ALWAYS}):
        found[code] = {"description": _WORDS[code], "content": {MEDIA: {"schema": _named(ProblemBody)}}}
    return {"responses": found, "status_code": status, "response_model": None}


def body(*shapes: tuple[str, Any, Any], secured: bool = True) -> dict[str, Any]:
    """The description of a body: content type, shape (a msgspec type or a schema), and an example of each."""
    content = {
        media: {
            "schema": _schema_of(shape),
            "examples": {name: {"value": _kept(value)} for name, value in examples.items()},
        }
        for media, shape, examples in shapes
    }
    found: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    return {"openapi_extra": {**found, **(SECURED if secured else {})}}


def _kept(example: Any) -> str:
    _EXAMPLES.append(example)
    return f"example {len(_EXAMPLES) - 1}"


def _put_in(content: dict[str, Any]) -> None:
    if "example" in content:
        content["example"] = _EXAMPLES[int(content["example"].split()[1])]
    for one in content.get("examples", {}).values():
        one["value"] = _EXAMPLES[int(one["value"].split()[1])]


def _schema_of(shape: Any) -> dict[str, Any]:
    """Of a schema as it is, a class, or a list of classes of which a body is one."""
    if isinstance(shape, dict):
        return shape
    return {"oneOf": [_named(one) for one in shape]} if isinstance(shape, list) else _named(shape)


SECURED: dict[str, Any] = {"security": [{"token": []}]}
"""Marks a route that takes a token."""


def describe(app: FastAPI) -> None:
    """Let the application describe itself, once made."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]


def _schema(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
    for path in found["paths"].values():
        for operation in path.values():
            _tidy(operation)
    components = found.setdefault("components", {})
    _, shapes = msgspec.json.schema_components(list(_SHAPES.values()), ref_template=REFERENCE)
    components["schemas"] = shapes
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Made by `hindsight token create`."}
    }
    # {entity:path} and {id:uuid} are a matter of routing.
    found["paths"] = {re.sub(":[a-z]+}", "}", path): rest for path, rest in found["paths"].items()}
    return found


def _tidy(operation: dict[str, Any]) -> None:
    """Examples in; FastAPI's own schema of errors out, and null as a value of parameters, which can't be sent."""
    unprocessable = operation["responses"].get("422")
    if unprocessable and MEDIA not in unprocessable["content"]:
        problem = {MEDIA: {"schema": _named(ProblemBody)}}
        operation["responses"]["422"] = {"description": _WORDS[422], "content": problem}
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        for content in part.get("content", {}).values():
            _put_in(content)
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1:
            schema.pop("anyOf")
            schema.update(kinds[0])
        elif kinds:
            schema["anyOf"] = kinds


def _named(shape: Any) -> dict[str, Any]:
    """A reference to a shape, which is then among the components."""
    _SHAPES[repr(shape)] = shape
    (found,), _ = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    return found
