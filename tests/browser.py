"""A headless Chromium that reads a site from a folder, and notes what goes wrong."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No sandbox, which root has none of; nothing that a browser does on its own.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """The browser's path; a skipped test without one, or a failed one where it is required."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no browser: none of {', '.join(NAMES)} is on the PATH"
        if os.environ.get("ENGINE_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    return found


@dataclass
class Visit:
    """A page in the browser, and all that it did."""

    page: Any
    address: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}/{path}", wait_until="networkidle")

    def hear(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def receive(self, response: Any) -> None:
        if response.status >= 400:
            self.failed.append(response.url)

    @property
    def outside(self) -> list[str]:
        """Requests to another host."""
        return [one for one in self.requests if not one.startswith((self.address, "data:"))]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, without a line for each."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def visit(folder: Path, **context: Any) -> Iterator[Visit]:
    """Open a browser on a folder's files, served on this machine alone."""
    sync_api = pytest.importorskip("playwright.sync_api")
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_api.sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=list(QUIET))
            page = browser.new_context(**context).new_page()
            made = Visit(page, f"http://127.0.0.1:{server.server_port}")
            page.on("console", made.hear)
            page.on("pageerror", lambda error: made.errors.append(str(error)))
            page.on("request", lambda request: made.requests.append(request.url))
            page.on("requestfailed", lambda request: made.failed.append(request.url))
            page.on("response", made.receive)
            yield made
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
