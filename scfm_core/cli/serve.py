"""``scfm serve``: the pages in the browser, with workers beside the server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any
from urllib.parse import urlencode

import click

from scfm_core import resources
from scfm_core.errors import RequestError, ScfmError
from scfm_core.workspace import Workspace

_DEFAULT_PORT = 8501
_PORTS_TRIED = 50
_START_SECONDS = 60.0
_POLL_SECONDS = 0.2


@click.command(
    "serve",
    short_help="Start the pages in the browser.",
    epilog="\b\nExample:\n  scfm serve --demo pbmc3k --open\n  scfm serve --workers 2 --port 8600 --no-open",
)
@click.option("--workers", type=click.IntRange(1), help="Worker processes. One per GPU, or one, where not given.")
@click.option("--port", type=click.IntRange(1, 65535), help="8501, or the next free one, where not given.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--demo", metavar="KEY", help="Open this demo at once, such as pbmc3k.")
@click.option("--open/--no-open", "opens", default=True, help="Open the browser, where there is a display.")
@click.option("--threads-only", is_flag=True, help="Compute inside the server, without worker processes.")
def command(host: str, port: int | None, demo: str | None, opens: bool, **options: Any) -> None:
    """Start scFM Explorer and print its address; Ctrl-C stops everything.

    Work runs in processes of their own on this machine, so that a crash there leaves the pages alive, or on the
    cluster named by SCFM_SCHEDULER. There is no login: who reaches the address can use it.
    """
    from scfm_core.cluster import start_cluster

    _check_demo(demo)
    chosen = _free_port(host, port)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            scheduler = None if options["threads_only"] else os.environ.get("SCFM_SCHEDULER")
            cluster = None
            if scheduler is None and not options["threads_only"]:
                cluster = stack.enter_context(start_cluster(options["workers"]))
                scheduler = cluster.address
            server = stack.enter_context(_server(host, chosen, scheduler))
            local = f"http://{_reachable(host)}:{chosen}"
            _wait_until_healthy(server, local)
            address = f"{local}/?{urlencode({'demo': demo})}" if demo else local
            click.echo(f"scFM Explorer runs at {address}\nCtrl-C stops it.")
            if opens:
                _open_browser(address)
            while server.poll() is None and (cluster is None or cluster.running):
                time.sleep(_POLL_SECONDS)
            msg = f"The {'server' if server.poll() is not None else 'scheduler or a worker'} ended. {_see_logs()}"
            raise ScfmError(msg, "server-down")
    except KeyboardInterrupt:
        click.echo("Stopped. Finished chunks are kept.")


@contextmanager
def _server(host: str, port: int, scheduler: str | None) -> Iterator[subprocess.Popen[bytes]]:
    from scfm_core.cluster import end_programs, start_program

    workspace, root = Workspace.from_environment(), resources.root()
    server = start_program(
        "streamlit",
        *("run", str(root / "app.py"), "--server.address", host, "--server.port", str(port)),
        *("--server.headless", "true", "--browser.gatherUsageStats", "false"),
        log=workspace.folder("logs") / "server.log",
        environment={"SCFM_WORKSPACE": str(workspace.root.absolute()), "SCFM_SCHEDULER": scheduler or ""},
        cwd=root,  # where .streamlit/config.toml lies
    )
    try:
        yield server
    finally:
        end_programs([server])


def _wait_until_healthy(server: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:  # not listening yet
            time.sleep(_POLL_SECONDS)
    msg = f"The server did not come up. {_see_logs()}"
    raise ScfmError(msg, "server-down")


def _free_port(host: str, port: int | None) -> int:
    wanted = range(_DEFAULT_PORT, _DEFAULT_PORT + _PORTS_TRIED) if port is None else [port]
    for candidate in wanted:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    named = f"Port {port}" if port else f"Every port from {_DEFAULT_PORT} to {_DEFAULT_PORT + _PORTS_TRIED - 1}"
    msg = f"{named} of {host!r} is taken or not ours to use. Choose another one with --port, or another --host."
    raise RequestError(msg, "no-port")


def _check_demo(key: str | None) -> None:
    from scfm_core.intake import DEMOS

    keys = [demo.key for demo in DEMOS]
    if key is not None and key not in keys:
        msg = f"No demo is called {key!r}. Choose one of: {', '.join(keys)}."
        raise RequestError(msg, "unknown-demo")


def _reachable(host: str) -> str:
    return {"127.0.0.1": "localhost", "0.0.0.0": "localhost", "::": "localhost", "::1": "localhost"}.get(host, host)


def _open_browser(address: str) -> None:
    has_display = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if has_display:
        with suppress(webbrowser.Error, OSError):
            webbrowser.open(address)


def _see_logs() -> str:
    return f"The folder {Workspace.from_environment().folder('logs')} says why; then start again."


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
