"""A real Chromium for tests of the page; without one they are skipped, with the reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, by Playwright: ANALYTICS_TEST_CHROMIUM, else the system's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    named = os.environ.get("ANALYTICS_TEST_CHROMIUM")
    path = named or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: install one, or name it in ANALYTICS_TEST_CHROMIUM")
    with playwright.sync_playwright() as started:
        # The sandbox needs rights that containers and root do not have; the pages are our own.
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, url: str, **context: Any) -> Iterator[Any]:
    """A page, on which nothing may go wrong: errors of scripts, refusals by the policy, answers above 499."""
    problems: list[str] = []
    origin = url.partition("#")[0]
    session = browser.new_context(timezone_id="UTC", locale="en-GB", **context)
    session.set_default_timeout(15_000)
    page = session.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 500 else None)
    page.on("request", lambda asked: problems.append(asked.url) if not asked.url.startswith(origin) else None)
    page.goto(url)
    try:
        yield page
    finally:
        session.close()
    assert not problems
