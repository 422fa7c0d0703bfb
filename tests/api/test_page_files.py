"""The files of the page, without a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import api
from tests.api.conftest import Api

FOLDER = Path(api.__file__).parent / "page"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*"))


def test_everything_is_served_under_a_strict_policy(api: Api) -> None:
    assert len(FILES) >= 18
    for path in ["/", *(f"/page/{name}" for name in FILES)]:
        response = api.client.get(path)
        assert response.status_code == 200, path
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        again = api.client.get(path, headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_files_outside_are_not_there(api: Api) -> None:
    for path in ("/page/", "/page/no.js", "/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd"):
        assert api.client.get(path).status_code == 404, path


def test_the_page_needs_no_token_for_itself(start: Any) -> None:
    protected = start(require_token=True)
    assert protected.client.get("/").status_code == protected.client.get("/page/main.js").status_code == 200
    assert protected.client.get("/overview").status_code == 401


def test_nothing_comes_from_elsewhere_and_nothing_is_taken_as_html() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        found = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not found, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )
        if name.endswith(".html"):
            assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", text)


def test_every_module_that_is_imported_is_there() -> None:
    for name in FILES:
        for target in re.findall(r"(?:from|import\() ?\"(\.[^\"]+)\"", (FOLDER / name).read_text()):
            assert (FOLDER / name).parent.joinpath(target).resolve().is_file(), f"{name} imports {target}"
