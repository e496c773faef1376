"""Asks the engine, and shows how far the answer is until it is there; knows no analysis."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from pages._state import engine
from pages._words import about, count, plain
from scfm_core.engine import Job, Progress
from scfm_core.errors import Cancelled, ScfmError
from scfm_core.request import Request, ResultT

_QUIET_SECONDS = 0.3
_POLL_SECONDS = 0.8
_SO_FAR_SECONDS = 4.0  # drawing costs time, and what is drawn too often flickers
_DETAILS_AFTER_SECONDS = 2.0
_LOG_LINES = 60
logger = logging.getLogger(__name__)


def answer(
    request: Request[ResultT], *, place: str = "", so_far: Callable[[ResultT], None] | None = None
) -> ResultT | None:
    """Return the answer; or show how far it is, and return None.

    The page goes on without the answer and is run again when it is there. A stopped or failed job is not started
    again by itself: its reason and a button stand in the place of the answer. Two places of a page that wait for the
    same answer need different names in ``place``. Where ``so_far`` is given, it shows what there is of the answer while
    the job runs, and what was kept of it when the job was stopped.
    """
    job = _known_job(request)
    if job is None:
        try:
            job = engine().submit(request)
        except ScfmError as error:
            show_error(error)
            return None
    _wait(job)
    if not job.finished:
        _watch(job, place)
        if so_far is not None:
            _watch_so_far(job, so_far)
        return None
    if job.error is not None:
        _show_failure(job, place)
        if so_far is not None:
            _show_so_far(job, so_far)
        return None
    return job.result()


def stored(request: Request[ResultT]) -> ResultT | None:
    """Return the answer where it is there already; starts and shows nothing."""
    job = _known_job(request)
    if job is not None:
        return job.result() if job.finished and job.error is None else None
    if not engine().store.has(request.identity):
        return None
    return engine().submit(request).result()  # kept in memory from now on


def job_of(request: Request[ResultT]) -> Job[ResultT] | None:
    """Return the job that computes, or computed, a request in this process."""
    return _known_job(request)


def running_jobs() -> list[Job[Any]]:
    """Return the jobs that run now, oldest first."""
    return [job for job in reversed(engine().jobs()) if not job.finished]


def show_error(error: ScfmError) -> None:
    """Show an error in its own words."""
    st.error(plain(error, longest=2000), icon=":material/error:")


@contextmanager
def errors_as_text() -> Iterator[None]:
    """Show what goes wrong inside as text and go on behind it.

    A `ScfmError` speaks for itself; anything else is logged, and shown with the number under which it is logged.
    """
    try:
        yield
    except ScfmError as error:
        show_error(error)
    except Exception:
        number = uuid.uuid4().hex[:8]
        logger.exception("error %s on a page", number)
        st.error(_our_fault(f"error {number}"), icon=":material/error:")


def progress_line(progress: Progress) -> str:
    """Say in one line what is being done, how far it is and how long it still takes.

    Examples
    --------
    >>> progress_line(Progress("Embedding with PCA", 0, 0))
    'Embedding with PCA'
    """
    if not progress.total:
        return plain(progress.step)
    how_far = f"{count(progress.done)} of {count(progress.total)} {plain(progress.unit)}"
    left = progress.seconds_left
    return f"{plain(progress.step)}: {how_far}" + (f", {about(left)} left" if left and progress.done else "")


def _known_job(request: Request[ResultT]) -> Job[ResultT] | None:
    return next((job for job in engine().jobs() if job.request.identity == request.identity), None)


def _wait(job: Job[Any]) -> None:
    """Give a quick job the time to finish, so that nothing flickers."""
    until = time.monotonic() + _QUIET_SECONDS
    while not job.finished and time.monotonic() < until:
        time.sleep(0.02)


@st.fragment(run_every=_SO_FAR_SECONDS)
def _watch_so_far(job: Job[Any], so_far: Callable[[Any], None]) -> None:
    _show_so_far(job, so_far)


def _show_so_far(job: Job[Any], so_far: Callable[[Any], None]) -> None:
    if job.partial is not None:
        with errors_as_text():
            so_far(job.partial)


@st.fragment(run_every=_POLL_SECONDS)
def _watch(job: Job[Any], place: str) -> None:
    if job.finished:
        st.rerun()
    with errors_as_text(), st.container(border=True, key=f"waiting-{job.id}-{place}"):
        progress = job.progress
        if time.monotonic() - job.started < _DETAILS_AFTER_SECONDS:
            st.caption(progress_line(progress))
            return
        st.progress(min(progress.done / progress.total, 1.0) if progress.total else 0.0, text=progress_line(progress))
        with st.expander("Log"):
            st.text(log_text(job))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Stop", key=f"stop-{job.id}-{place}", on_click=job.cancel)
            st.caption("You can go on to other pages; the result will stand here.", width="stretch")


def log_text(job: Job[Any]) -> str:
    """Return the last lines of a job's log, each with the seconds since its start."""
    lines = [f"{seconds:7.1f} s  {text}" for seconds, text in list(job.log)[-_LOG_LINES:]]
    return "\n".join(lines) or "Nothing yet."


def _show_failure(job: Job[Any], place: str) -> None:
    error = job.error
    if isinstance(error, Cancelled):
        st.info("Stopped. What was finished is kept, and going on takes only the rest.", icon=":material/pause_circle:")
        st.button("Go on", key=f"again-{job.id}-{place}", on_click=_start_again, args=(job.request,))
        return
    if isinstance(error, ScfmError):
        st.error(plain(error, longest=2000), icon=":material/error:")
    else:
        st.error(_our_fault(f"job {job.id}"), icon=":material/error:")
    st.button("Try again", key=f"again-{job.id}-{place}", on_click=_start_again, args=(job.request,))


def _start_again(request: Request[Any]) -> None:
    engine().submit(request)


def _our_fault(number: str) -> str:
    return (
        f"This should have worked and did not: {number}. The server's log holds the details under this number. "
        "Try again; if it happens twice, send the number with the log to whoever runs this server."
    )
