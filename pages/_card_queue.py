"""The queue of the report card: every candidate has its own state, and none waits on the page for another."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from pages._state import engine
from pages._waiting import answer, errors_as_text, job_of, progress_line, show_error, stored
from pages._words import plain
from scfm_core.engine import Job
from scfm_core.errors import ScfmError
from scfm_core.request import Request

_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Queue:
    """Where some questions stand, by the name of each.

    Attributes
    ----------
    answers
        What is there.
    n_pending
        How many are being computed, or wait for their turn.
    n_open
        How many were not started.
    """

    answers: dict[str, Any]
    n_pending: int
    n_open: int


def ask_all(requests: Mapping[str, Request[Any]], *, place: str, start: bool) -> Queue:
    """Return what is answered, and show how far the others are, each with a button that stops it alone.

    Parameters
    ----------
    requests
        By what each is called on the page.
    place
        Of the queue; unique on the page.
    start
        Whether what was never asked is asked now; else only answers that lie ready are taken.
    """
    answers, pending, failed = {}, dict[str, Job[Any]](), dict[str, Request[Any]]()
    n_open = 0
    for name, request in requests.items():
        found = stored(request)
        job = job_of(request)
        if found is not None:
            answers[name] = found
        elif job is not None and job.finished:
            failed[name] = request
        elif job is not None:
            pending[name] = job
        elif start:
            _submit(name, request, pending)
        else:
            n_open += 1
    if pending:
        _show_pending(pending, place)
    for name, request in failed.items():
        with st.container(border=True, key=f"{place}-failed-{name}"):
            st.markdown(f"**{plain(name)}**")
            answer(request, place=f"{place}:{name}")
    return Queue(answers, len(pending), n_open)


def _submit(name: str, request: Request[Any], pending: dict[str, Job[Any]]) -> None:
    try:
        pending[name] = engine().submit(request)
    except ScfmError as error:
        st.markdown(f"**{plain(name)}**")
        show_error(error)


def _show_pending(pending: dict[str, Job[Any]], place: str) -> None:
    st.fragment(partial(_pending_rows, pending, place), run_every=_POLL_SECONDS)()


def _pending_rows(pending: dict[str, Job[Any]], place: str) -> None:
    if any(job.finished for job in pending.values()):
        st.rerun()
    with st.container(border=True, gap="xsmall", key=f"{place}-queue"):
        for name, job in pending.items():
            with errors_as_text():
                _row(name, job, place)
        st.caption("You can go on to other pages; results stand here as they come.")


def _row(name: str, job: Job[Any], place: str) -> None:
    progress = job.progress
    title, bar, stop = st.columns([1.2, 3, 0.7], vertical_alignment="center")
    title.markdown(f"**{plain(name)}**")
    share = min(progress.done / progress.total, 1.0) if progress.total else 0.0
    bar.progress(share, text=progress_line(progress))
    stop.button("Stop", key=f"{place}-stop-{job.id}", on_click=job.cancel, width="stretch")
