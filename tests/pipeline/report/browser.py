"""A real Chromium, fetched where it is not there, and what it said and asked for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

FETCH_S = 240
OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@dataclass
class Seen:
    """A page, the lines of its console and its errors, and the addresses that it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


def chromium() -> str:
    """Where Chromium is. Skips the test where it is not there and can't be fetched."""
    found = _found()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for what in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            command = ["apt-get", "-qq", *what]
            subprocess.run(command, timeout=FETCH_S, check=False, capture_output=True)
        found = _found()
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium, which wants root")
    return found


def _found() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser, ended in any case."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1280, scheme: str = "light") -> Iterator[Seen]:
    """A page that has loaded, in a window of this width."""
    kept = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    context = browser.new_context(**kept)  # type: ignore[arg-type]
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    seen.page.on("request", lambda request: seen.asked.append(request.url))
    try:
        seen.page.goto(url)
        yield seen
    finally:
        context.close()
