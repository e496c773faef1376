"""Downloads published weights from the Hugging Face hub, at the commit and with the hashes that their card names.

huggingface_hub says where a file is and who may have it. The bytes are read here, since its own download throws away
what an interrupted one had; here a partial file stays and is continued by asking for the rest. Nothing is unpickled.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scfm_core.converted import described
from scfm_core.errors import Cancelled, ModelError
from scfm_core.model import ModelSpec, Published, WeightFile
from scfm_core.weights import add_weights
from scfm_core.workspace import Workspace

_TIMEOUT_SECONDS = 30.0
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # after a lost connection, as long as nothing new arrives
_BUSY = (408, 429, 500, 502, 503, 504)

_LIBRARY = "scfm-explorer"

OnProgress = Callable[[int, int, str], None]


class _Lost(Exception):
    """The connection broke, and may come back."""


def fetch_weights(spec: ModelSpec, *, on_progress: OnProgress, stop: Callable[[], bool]) -> ModelSpec:
    """Download a model's published weights, install them, and return its card with them.

    What arrived stays in the workspace until the model is installed: after a stop or an error the same call goes on
    from there. ``HF_ENDPOINT`` names another server that speaks the hub's protocol.

    Parameters
    ----------
    on_progress
        ``on_progress(done, total, file)`` in bytes over all files; ``done`` never falls, and ends at ``total``. Called
        in this thread, once for every piece that arrives.
    stop
        Asked before every piece; True ends the download and keeps what is there.

    Raises
    ------
    ModelError
        ``"not-published"``, ``"already-downloading"``, ``"no-connection"``, ``"not-found"``, ``"no-access"``,
        ``"server-error"``, ``"no-hub"``, ``"other-revision"``, ``"hash-mismatch"``, ``"disk-full"``, and what
        `scfm_core.weights.add_weights` raises.
    Cancelled
        If ``stop`` said so.
    """
    published = spec.published
    if published is None:
        msg = f"The weights of {spec.title} are not on the hub: {spec.how_to_get or 'it has none'}"
        raise ModelError(msg, "not-published")
    folder = Workspace.from_environment().folder("downloads") / spec.key
    with _alone(spec, folder):
        target = folder / published.revision
        target.mkdir(parents=True, exist_ok=True)
        _check_room(published, target)
        download = _Download(spec, published, target, on_progress, stop)
        for file in published.files:
            download.fetch(file)
        origin = {"repository": published.repository, "revision": published.revision}
        card = add_weights(spec, target, origin=origin)
        shutil.rmtree(folder)
    on_progress(published.size_bytes, published.size_bytes, "")
    return card


@contextmanager
def _alone(spec: ModelSpec, folder: Path) -> Iterator[None]:
    """Hold the folder of a download, so that no two write to one file; the lock ends with the process."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0):
            yield
    except Timeout as error:
        msg = f"{spec.title} is being downloaded already, here or in another window. Wait for it, or stop it there."
        raise ModelError(msg, "already-downloading") from error


def _check_room(published: Published, folder: Path) -> None:
    """Refuse to begin where the download and the converted copy do not fit the disk."""
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed = 2 * published.size_bytes - here
    free = shutil.disk_usage(folder).free
    if free < needed:
        msg = (
            f"The download and the converted weights need {needed / 1e6:,.0f} MB in the workspace, found "
            f"{free / 1e6:,.0f} MB free. Make room, or name another workspace with SCFM_WORKSPACE."
        )
        raise ModelError(msg, "disk-full")


class _Download:
    """The files of one model, one after the other, and how far it is."""

    def __init__(
        self, spec: ModelSpec, published: Published, folder: Path, on_progress: OnProgress, stop: Callable[[], bool]
    ) -> None:
        self._spec = spec
        self._published = published
        self._folder = folder
        self._on_progress = on_progress
        self._stop = stop
        self._complete = 0  # bytes of the files before the current one
        self._told = 0

    def fetch(self, file: WeightFile) -> None:
        """Download one file, or what is missing of it, and check it."""
        path = self._folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        if not path.is_file():
            self._fill(file, partial)
            self._check(file, partial)
            partial.replace(path)
        else:
            self._check(file, path)
        self._tell(file, file.size_bytes)
        self._complete += file.size_bytes

    def _fill(self, file: WeightFile, partial: Path) -> None:
        """Ask for the missing rest until the file is whole, again where the connection breaks."""
        url = self._url(file)
        n_waits = 0
        while _size(partial) < file.size_bytes:
            before = _size(partial)
            try:
                self._receive(file, url, partial)
            except _Lost as lost:
                n_waits = 0 if _size(partial) > before else n_waits
                if n_waits == len(_WAITS_SECONDS):
                    raise self._no_connection(lost) from lost
                self._wait(_WAITS_SECONDS[n_waits])
                n_waits += 1

    def _url(self, file: WeightFile) -> str:
        """Return the address of a file, after the server said that it has it at the pinned commit."""
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is loaded
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        self._check_stop()
        published = self._published
        endpoint = os.environ.get("HF_ENDPOINT") or None
        url = hf_hub_url(published.repository, file.name, revision=published.revision, endpoint=endpoint)
        with self._hub_errors(file, patient=False):
            found = get_hf_file_metadata(url, timeout=_TIMEOUT_SECONDS, endpoint=endpoint, library_name=_LIBRARY)
        if found.commit_hash is None:
            msg = f"The server at {url} does not answer as the Hugging Face hub does. {self._other_way()}"
            raise ModelError(msg, "no-hub")
        if found.commit_hash != published.revision:
            msg = (
                f"Expected {file.name} at the commit {published.revision}, found it at {found.commit_hash}. "
                f"{self._other_way()}"
            )
            raise ModelError(msg, "other-revision")
        if found.size is not None and found.size != file.size_bytes:
            raise self._mismatch(file, f"{found.size:,} bytes on the server")
        return url

    def _receive(self, file: WeightFile, url: str, partial: Path) -> None:
        """Append to a partial file what the server sends of its rest."""
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        start = _size(partial)
        self._tell(file, start)
        headers = build_hf_headers(library_name=_LIBRARY)
        headers["Accept-Encoding"] = "identity"  # the bytes of the file, as they are
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            self._hub_errors(file, patient=True),
            get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT_SECONDS) as answer,
        ):
            hf_raise_for_status(answer)
            part = answer.headers.get("Content-Range", "")
            goes_on = answer.status_code == 206 and part.startswith(f"bytes {start}-")
            with partial.open("ab" if goes_on else "wb") as out:
                size = start if goes_on else 0
                for piece in answer.iter_raw():
                    self._check_stop()
                    size += len(piece)
                    if size > file.size_bytes:
                        break
                    out.write(piece)
                    self._tell(file, size)
        if size > file.size_bytes:
            partial.unlink()
            raise self._mismatch(file, "more bytes; they were deleted")
        if size < file.size_bytes:
            msg = "the answer ended too early"
            raise _Lost(msg)

    def _check(self, file: WeightFile, path: Path) -> None:
        """Refuse and delete a file that is not the one on the card."""
        found = described(path)
        if (found["size_bytes"], found["sha256"]) != (file.size_bytes, file.sha256):
            path.unlink()
            raise self._mismatch(file, f"{found['size_bytes']:,} bytes with {found['sha256'][:12]}…; it was deleted")

    def _tell(self, file: WeightFile, done: int) -> None:
        self._told = max(self._told, self._complete + done)  # a server that starts anew takes nothing back
        self._on_progress(self._told, self._published.size_bytes, file.name)

    def _check_stop(self) -> None:
        if self._stop():
            msg = f"The download of {self._spec.title} was stopped. What arrived is kept; the next goes on there."
            raise Cancelled(msg, "stopped")

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check_stop()
            time.sleep(0.05)

    @contextmanager
    def _hub_errors(self, file: WeightFile, *, patient: bool) -> Iterator[None]:
        """Turn what the hub and the network say into words; a ``patient`` caller tries again by itself."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            if patient and status in _BUSY:
                raise _Lost(str(status)) from error
            raise self._refusal(file, status) from error
        except OfflineModeIsEnabled as error:
            raise self._no_connection(error) from error
        except httpx2.TransportError as error:
            if patient:
                raise _Lost(str(error)) from error
            raise self._no_connection(error) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            msg = f"The disk is full at {file.name}. What arrived is kept; make room and download again."
            raise ModelError(msg, "disk-full") from error

    def _refusal(self, file: WeightFile, status: int) -> ModelError:
        where = f"{self._published.repository} at {self._published.revision[:12]}"
        if status == 404:
            msg = f"The server does not have {file.name} of {where} (404). {self._other_way()}"
            return ModelError(msg, "not-found")
        if status in (401, 403):
            msg = f"The server does not give {file.name} of {where} to you ({status}). {self._other_way()}"
            return ModelError(msg, "no-access")
        msg = f"The server could not give {file.name} of {where} ({status}). Try again later. {self._other_way()}"
        return ModelError(msg, "server-error")

    def _no_connection(self, error: Exception) -> ModelError:
        server = os.environ.get("HF_ENDPOINT") or "huggingface.co"
        msg = f"No connection to {server} ({error}). What arrived is kept; try again. {self._other_way()}"
        return ModelError(msg, "no-connection")

    def _mismatch(self, file: WeightFile, found: str) -> ModelError:
        msg = (
            f"The file {file.name} is not the one on the card of {self._spec.title}: expected {file.size_bytes:,} "
            f"bytes with sha256 {file.sha256[:12]}…, found {found}. Download again. {self._other_way()}"
        )
        return ModelError(msg, "hash-mismatch")

    def _other_way(self) -> str:
        return f"A folder that you have is taken by 'scfm weights add {self._spec.key} FOLDER'."


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
