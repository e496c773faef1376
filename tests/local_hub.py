"""A server on this machine that speaks the part of the Hugging Face hub's protocol that a download needs."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RESOLVE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


@dataclass
class LocalHub:
    """One repository at one commit.

    Attributes
    ----------
    files
        Content by path in the repository; may be changed while the server runs.
    commit
        The commit that answers name, where it is another one.
    redirect
        Whether files are sent from another path, as the hub does with large ones.
    ranges
        Whether the rest of a file can be asked for.
    requests
        What was asked for: method, path in the repository, and start of the range (None for the whole file).
    agents
        What the clients said that they are.
    drops
        By path: after how many bytes the connection is cut, once per entry of the list.
    stalls
        By path: after how many bytes nothing more comes.
    status
        By path: an answer other than the file.
    """

    repository: str
    revision: str
    files: dict[str, bytes]
    commit: str = ""
    redirect: bool = False
    ranges: bool = True
    url: str = ""
    requests: list[tuple[str, str, int | None]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    drops: dict[str, list[int]] = field(default_factory=dict)
    stalls: dict[str, int] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)

    def asked(self, name: str) -> list[int | None]:
        """The starts of the ranges that were asked for of one file, in order; None for the whole."""
        return [start for method, asked, start in self.requests if method == "GET" and asked == name]


def files_under(root: Path) -> dict[str, bytes]:
    """The content of a folder by relative path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@contextmanager
def serving(hub: LocalHub) -> Iterator[LocalHub]:
    """Run the server on a free port of the loopback device."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LocalHub

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; ``LocalHub.requests`` holds what was asked."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/storage/"):  # where the hub sends on to for large files
            self._file(path.removeprefix("/storage/"))
            return
        match = _RESOLVE.fullmatch(path)
        if match is None or match["repository"] != self.hub.repository:
            self._refuse(404, "RepoNotFound")
        elif match["revision"] != self.hub.revision:
            self._refuse(404, "RevisionNotFound")
        elif self.hub.redirect and match["name"] in self.hub.files and match["name"] not in self.hub.status:
            if self.command == "HEAD":
                self.hub.requests.append(("HEAD", match["name"], None))
            where = f"{self.hub.url}/storage/{match['name']}"
            self._begin(302, match["name"], {"Location": where, "Content-Length": "0"})
        else:
            self._file(match["name"])

    def _file(self, name: str) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else None
        self.hub.requests.append((self.command, name, start))
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        status = self.hub.status.get(name)
        if status is not None or name not in self.hub.files:
            self._refuse(status or 404, "EntryNotFound" if status is None else "")
            return
        content = self.hub.files[name]
        first = start if start is not None and self.hub.ranges else 0
        headers = {"Content-Length": str(len(content) - first)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._begin(206 if first else 200, name, headers)
        if self.command == "GET":
            self._send(name, content[first:])

    def _begin(self, status: int, name: str, headers: dict[str, str]) -> None:
        content = self.hub.files[name]
        self.send_response(status)
        self.send_header("X-Repo-Commit", self.hub.commit or self.hub.revision)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Accept-Ranges", "bytes")
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def _send(self, name: str, content: bytes) -> None:
        drops = self.hub.drops.get(name)
        if drops:
            self.wfile.write(content[: drops.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        if name in self.hub.stalls:
            self.wfile.write(content[: self.hub.stalls[name]])
            self.wfile.flush()
            while name in self.hub.stalls:
                time.sleep(0.02)
            self.close_connection = True
            return
        for start in range(0, len(content), 1 << 14):
            self.wfile.write(content[start : start + (1 << 14)])

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
