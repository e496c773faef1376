"""A real server on an empty workspace, and a real browser that looks at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
BUSY = '[data-testid="stStatusWidget"], [class*="st-key-waiting-"]'
WRONG = '[data-testid="stException"], [data-testid="stAlertContentError"]'
MOST_SECONDS = 240.0
QUIET_SECONDS = 1.0


@dataclass
class Server:
    """A running server.

    Attributes
    ----------
    started
        When its process was started, on the clock of `time.monotonic`.
    """

    url: str
    started: float


@dataclass
class Visitor:
    """A person with a browser: waits until the page is quiet, and keeps pictures of what it saw."""

    page: Page
    server: Server
    folder: Path
    foreign: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(60_000)
        self.page.on("request", self._note_foreign)

    def visit(self, address: str = "/") -> None:
        """Open an address of the server."""
        self.page.goto(self.server.url + address)
        self.page.locator("h1").first.wait_for()
        self.wait()

    def wait(self) -> None:
        """Wait until nothing runs; an error on the page is an error of the test."""
        until = time.monotonic() + MOST_SECONDS
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            assert time.monotonic() < until, self.page.locator(BUSY).all_inner_texts()
            if self.page.locator(BUSY).count():
                quiet_since = time.monotonic()
            time.sleep(0.1)
        wrong = self.page.locator(WRONG)
        assert not wrong.count(), wrong.all_inner_texts()

    def click(self, name: str) -> None:
        """Click the first button of that name and wait."""
        self.page.get_by_role("button", name=name).first.click()
        time.sleep(0.5)
        self.wait()

    def see_figures(self, n_figures: int) -> None:
        """Wait until so many figures are drawn."""
        self.page.locator(".js-plotly-plot .main-svg").first.wait_for(state="attached")
        self.page.locator(".js-plotly-plot").nth(n_figures - 1).wait_for(state="attached")
        self.wait()

    def picture(self, name: str) -> None:
        """Keep pictures of the page in a small and in a large window."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for width, height in ((1920, 1080), (1280, 900)):
            self.page.set_viewport_size({"width": width, "height": height})
            time.sleep(0.7)
            self.page.screenshot(path=self.folder / f"{name}-{width}.png")

    def picture_in_both_themes(self, name: str) -> None:
        """Keep pictures of the page in the light and in the dark theme."""
        self.picture(name)
        for theme in ("dark", "light"):
            self.page.emulate_media(color_scheme=theme)
            time.sleep(2.0)
            self.wait()
            if theme == "dark":
                self.picture(f"{name}-dark")

    def _note_foreign(self, request: object) -> None:
        url = str(getattr(request, "url", ""))
        if not url.startswith((self.server.url, "data:", "blob:")):
            self.foreign.append(url)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own on an empty workspace."""
    port = _free_port()
    environment = {**os.environ, "SCFM_WORKSPACE": str(tmp_path / "workspace")}
    environment.pop("SCFM_SCHEDULER", None)
    options = ("--server.headless", "true", "--server.port", str(port))
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *options]
    started = time.monotonic()
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"http://localhost:{port}/_stcore/health", process, tmp_path / "server.log")
            yield Server(f"http://localhost:{port}", started)
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium: none of " + ", ".join(NAMES) + " is installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visitor(browser: Browser, server: Server) -> Iterator[Visitor]:
    """A visitor with an empty browser."""
    folder = Path(os.environ.get("SCFM_SCREENSHOTS") or Path(__file__).parent / "screenshots")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, color_scheme="light")
    yield Visitor(context.new_page(), server, folder)
    context.close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=2) as reply:
                if reply.status == 200:
                    return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(log.read_text())
