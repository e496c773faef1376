"""The thread in the sidebar through all pages: the dataset, its embeddings, the selection, the jobs."""

from typing import Any

import streamlit as st

from pages._state import clear_selection, dataset_in_use, engine, selection, workspace
from pages._waiting import errors_as_text, progress_line, running_jobs
from pages._words import card_line, cells_of, count, plain, title_of
from scfm_core.dataset import Dataset
from scfm_core.engine import Job

_POLL_SECONDS = 1.0
_ASKED = {
    "EmbedCells": "Embedding",
    "FitModel": "Fitting a baseline",
    "ProjectCells": "Map",
    "ClusterCells": "Clusters",
    "FindMarkers": "Markers",
    "MeasureQuality": "Quality control",
    "PerturbGenes": "Gene deletion",
    "ReadExpression": "Reading genes",
}


def show_thread() -> None:
    """Show in the sidebar what runs through all pages: the dataset, its embeddings, the selection, the jobs."""
    dataset = dataset_in_use()
    if dataset is None:
        st.caption("No dataset is open.")
    else:
        _dataset_card(dataset)
        _selection_card()
    _jobs()


def embedded_models(dataset: Dataset) -> dict[str, float | None]:
    """Return the keys of the models that have embedded this dataset, the baseline first, with the seconds it took."""
    answers = workspace().folder("answers")
    return _embedded(str(answers), answers.stat().st_mtime_ns, dataset.identity)


@st.cache_data(show_spinner=False, max_entries=64)
def _embedded(folder: str, changed: int, identity: str) -> dict[str, float | None]:
    found = {}
    for stored in engine().store.answers():
        asked = stored.recipe or {}
        if asked.get("question") == "EmbedCells" and asked["dataset"]["dataset"] == identity:
            found[str(asked["model"]["model"])] = stored.seconds
    return {key: found[key] for key in sorted(found, key=lambda key: (key != "pca", key))}


def _dataset_card(dataset: Dataset) -> None:
    with st.container(border=True, gap="xsmall", key="thread-dataset"):
        st.markdown(f"**{title_of(dataset)}**")
        st.caption(
            f"{plain(card_line(dataset))}  \nContent `{dataset.sha256[:10]}`",
            help="The first ten letters of the hash of the content: equal letters, equal data.",
        )
        keys = embedded_models(dataset)
        st.caption("Embeddings: " + (", ".join(f"`{key}`" for key in keys) if keys else "none yet"))


def _selection_card() -> None:
    chosen = selection()
    if chosen is None:
        return
    with st.container(border=True, gap="xsmall", key="thread-selection"):
        st.markdown(f"**Selection:** {cells_of(len(chosen))}")
        st.caption(f"of {count(chosen.n_cells)}, {plain(chosen.label)}")
        st.button("Clear selection", key="clear-selection", on_click=clear_selection, width="stretch")


def _jobs() -> None:
    some = bool(running_jobs())
    st.fragment(_jobs_panel, run_every=_POLL_SECONDS if some else None)(some)


def _jobs_panel(there_were_some: bool) -> None:
    jobs = running_jobs()
    if there_were_some and not jobs:
        st.rerun()
    for job in jobs:
        with errors_as_text(), st.container(border=True, gap="xsmall", key=f"thread-{job.id}"):
            _job_card(job)


def _job_card(job: Job[Any]) -> None:
    progress = job.progress
    st.markdown(f"**{_ASKED.get(type(job.request).__name__, type(job.request).__name__)}**")
    st.progress(min(progress.done / progress.total, 1.0) if progress.total else 0.0)
    st.caption(progress_line(progress))
    st.button("Stop", key=f"thread-stop-{job.id}", on_click=job.cancel, width="stretch")
