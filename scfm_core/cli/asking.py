"""Asks the engine on behalf of a command: progress on a terminal, silence otherwise, results as words or JSON."""

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from scfm_core.engine import Engine, Job, Progress
from scfm_core.errors import RequestError, ScfmError
from scfm_core.request import Request, ResultT

_POLL_SECONDS = 0.2
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def asking(device: str | None = None) -> Iterator[Engine]:
    """Yield an engine on the workspace, closed at the end.

    Raises
    ------
    RequestError
        If there is no such device, or the devices are a cluster's to choose.
    """
    from scfm_core.cluster import connect

    engine = connect(device=checked_device(device))
    try:
        yield engine
    finally:
        engine.close()


def ask(engine: Engine, request: Request[ResultT]) -> ResultT:
    """Return the answer to a request, telling on a terminal how far it is.

    A bug carries the id of the job as a note.
    """
    job = engine.submit(request)
    _watch(job, shown=sys.stderr.isatty())
    if job.error is not None and not isinstance(job.error, ScfmError):
        job.error.add_note(f"job {job.id}")
    return job.result()


def checked_device(device: str | None) -> str | None:
    """Return a device as torch names it, if it is here."""
    if device is None:
        return None
    if os.environ.get("SCFM_SCHEDULER"):
        msg = "--device chooses a device here, but SCFM_SCHEDULER sends the work to a cluster. Drop one of them."
        raise RequestError(msg, "device-of-cluster")
    from scfm_core.tensors import available_devices  # torch is slow to import

    wanted = "cuda:0" if device == "cuda" else device
    here = list(dict.fromkeys([*available_devices(), "cpu"]))
    if wanted not in here:
        msg = f"There is no device {device!r} here. Choose one of: {', '.join(here)}."
        raise RequestError(msg, "no-device")
    return wanted


def tell(words: str, summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what was done, as words for a person or as JSON for a program."""
    click.echo(json.dumps(plain(summary), indent=1, allow_nan=False) if as_json else words)


def plain(value: Any) -> Any:
    """Turn numpy's numbers, arrays, tuples and paths into what JSON knows; NaN becomes null."""
    match value:
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case str() | bool() | int() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case _ if hasattr(value, "tolist"):  # numpy's arrays and numbers
            return plain(value.tolist())
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def in_words(progress: Progress) -> str:
    """Return how far a step is, in one line.

    Examples
    --------
    >>> in_words(Progress(step="Embedding with PCA", done=0, total=2700))
    'Embedding with PCA: 0 of 2,700 cells'
    >>> in_words(Progress(step="Drawing the UMAP"))
    'Drawing the UMAP'
    """
    if not progress.total:
        return progress.step
    text = f"{progress.step}: {progress.done:,} of {progress.total:,} {progress.unit}"
    left = progress.seconds_left
    return text if left is None else f"{text}, {duration(left)} left"


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    Examples
    --------
    >>> duration(38.2), duration(150), duration(7000)
    ('about 40 s', 'about 3 min', 'about 1.9 h')
    """
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    return f"about {math.ceil(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _watch(job: Job[Any], *, shown: bool) -> None:
    n_told = 0
    try:
        while not job.wait(_POLL_SECONDS):
            if shown:
                n_told = _show(job, n_told)
    except KeyboardInterrupt:
        job.cancel()
        raise
    finally:
        if shown:
            _show(job, n_told)
            click.echo(_CLEAR_LINE, nl=False, err=True)


def _show(job: Job[Any], n_told: int) -> int:
    lines = job.log
    click.echo(_CLEAR_LINE, nl=False, err=True)
    for _, text in lines[n_told:]:
        click.echo(text, err=True)
    click.echo(in_words(job.progress)[: shutil.get_terminal_size()[0] - 1], nl=False, err=True)
    return len(lines)
