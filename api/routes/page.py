"""The page: files of `api/page`, as they are, with a policy that lets nothing else in."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from fastapi import APIRouter, Request, Response

from api.problems import Problem

POLICY = "; ".join(
    [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)  # fmt: skip
"""No script, style or address but our own; no text is ever taken as HTML."""
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class _File(NamedTuple):
    body: bytes
    kind: str
    etag: str


def router() -> APIRouter:
    """The routes; the files are read once."""
    routes = APIRouter(include_in_schema=False)
    held = dict(_read(files("api") / "page", ""))

    @routes.get("/")
    async def get_page(request: Request) -> Response:
        """The page."""
        return _answer(request, held["index.html"])

    @routes.get("/page/{name:path}")
    async def get_file(request: Request, name: str) -> Response:
        """A file that the page loads."""
        found = held.get(name)
        if found is None:
            raise Problem(404, "not-found", "The page has no such file.")
        return _answer(request, found)

    return routes


def _read(folder: Traversable, prefix: str) -> list[tuple[str, _File]]:
    found: list[tuple[str, _File]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _read(entry, name + "/")
        elif (kind := KINDS.get(name.rpartition(".")[2])) is not None:
            body = entry.read_bytes()
            found.append((name, _File(body, kind, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')))
    return found


def _answer(request: Request, found: _File) -> Response:
    # Asked for again each time, and 304 mostly: a new version shows at once.
    headers = {"ETag": found.etag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type=found.kind)
