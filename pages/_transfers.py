"""Weights on their way into the workspace: in the background, one per model, the same for all who look."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import streamlit as st

from pages._state import workspace
from pages._words import about, megabytes, plain
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.model import ModelSpec

_SURE_AFTER_SECONDS = 2.0
_TOLD_FOR_SECONDS = 300.0
logger = logging.getLogger(__name__)


@dataclass
class Transfer:
    """Weights that are being fetched or converted; safe to read from any thread.

    Attributes
    ----------
    kind
        What is being done, as the person at the screen reads it.
    done_bytes, total_bytes, done_at_start
        How far it is, and how much lay ready from an earlier try; the total is 0 where nothing is counted.
    file
        Which file is on its way; empty where none is named.
    error
        What went wrong in words, or why it ended early; empty where nothing did.
    stoppable
        Whether `stop` is heard.
    """

    spec: ModelSpec
    kind: str
    stoppable: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    done_bytes: int = 0
    total_bytes: int = 0
    file: str = ""
    done_at_start: int = 0
    started: float = field(default_factory=time.monotonic)
    error: str = ""
    stopped: bool = False
    finished: bool = False
    ended: float = 0.0
    _asked_to_stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask the work to end at the next piece; what is there is kept."""
        self._asked_to_stop.set()

    def told(self, done_bytes: int, total_bytes: int, file: str = "") -> None:
        """Note how far the work is; what lies ready from an earlier try comes with the first call."""
        if not self.done_bytes:
            self.done_at_start, self.started = done_bytes, time.monotonic()
        self.done_bytes, self.total_bytes, self.file = done_bytes, total_bytes, file

    def asked_to_stop(self) -> bool:
        """Whether somebody wants the work to end."""
        return self._asked_to_stop.is_set()

    @property
    def share(self) -> float:
        """How far it is, between 0 and 1."""
        return min(self.done_bytes / self.total_bytes, 1.0) if self.total_bytes else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time to the end; None while there is nothing to base it on."""
        new, passed = self.done_bytes - self.done_at_start, time.monotonic() - self.started
        return passed * (self.total_bytes - self.done_bytes) / new if new > 0 and passed > _SURE_AFTER_SECONDS else None

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to end and has not done so."""
        return self.asked_to_stop() and not self.finished

    def run(self, work: Callable[["Transfer"], object]) -> None:
        """Do the work and keep what went wrong as words."""
        try:
            work(self)
        except Cancelled:
            self.stopped = True
        except ScfmError as error:
            self.error = str(error)
        except Exception:
            logger.exception("transfer %s of %s failed", self.id, self.spec.key)
            self.error = (
                f"This should have worked and did not: transfer {self.id}. The server's log holds the details under "
                "this number. Try again; if it happens twice, send the number with the log to whoever runs this server."
            )
        finally:
            self.ended, self.finished = time.monotonic(), True


class Transfers:
    """The transfers of this process by model; a second one for the same model joins the one that runs."""

    def __init__(self) -> None:
        self._by_key: dict[str, Transfer] = {}
        self._lock = threading.Lock()

    def start(self, transfer: Transfer, work: Callable[[Transfer], object]) -> None:
        """Begin in the background, unless one for this model runs."""
        with self._lock:
            running = self._by_key.get(transfer.spec.key)
            if running is not None and not running.finished:
                return
            self._by_key[transfer.spec.key] = transfer
        threading.Thread(target=transfer.run, args=(work,), name=f"transfer-{transfer.id}", daemon=True).start()

    def of(self, spec: ModelSpec) -> Transfer | None:
        """Return the last transfer of a model."""
        return self._by_key.get(spec.key)

    def running(self) -> list[Transfer]:
        """Return the transfers under way, oldest first."""
        return [transfer for transfer in list(self._by_key.values()) if not transfer.finished]

    def lately_done(self) -> list[Transfer]:
        """Return the transfers that went well in the last minutes."""
        done = [one for one in list(self._by_key.values()) if one.finished and not one.error and not one.stopped]
        return [one for one in done if time.monotonic() - one.ended < _TOLD_FOR_SECONDS]

    def stop_all(self) -> None:
        """Ask every transfer to end."""
        for transfer in self.running():
            transfer.stop()


def transfers() -> Transfers:
    """Return the transfers shared by all sessions of this server."""
    return _transfers(str(workspace().root))


@st.cache_resource(show_spinner=False, on_release=lambda held: held.stop_all())
def _transfers(root: str) -> Transfers:
    return Transfers()


def transfer_line(transfer: Transfer) -> str:
    """Say how far weights are on their way."""
    words = f"{transfer.kind} {plain(transfer.spec.title)}"
    if transfer.stopping:
        return f"{words}: stopping"
    if not transfer.total_bytes:
        return words
    words += f": {megabytes(transfer.done_bytes)} of {megabytes(transfer.total_bytes)}"
    if transfer.done_bytes >= transfer.total_bytes:
        return f"{words}, checking and converting"
    left = transfer.seconds_left
    return words + (f", {about(left)} left" if left else "")
