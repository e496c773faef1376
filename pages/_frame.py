"""What stands around every page: the head with its question, the way on, and the thread in the sidebar."""

from typing import Any

import streamlit as st

from pages._state import (
    clear_selection,
    dataset_in_use,
    engine,
    open_demo_dataset,
    selection,
    workspace,
)
from pages._waiting import errors_as_text, progress_line, running_jobs
from pages._words import card_line, cells_of, count, plain, title_of
from scfm_core.dataset import Dataset
from scfm_core.engine import Job

FIRST_DEMO = "pbmc3k"
_POLL_SECONDS = 1.0
_NEXT = {
    "Dataset": ("Embedding", "pages/2_Embedding.py"),
    "Embedding": ("UMAP", "pages/3_UMAP.py"),
    "UMAP": ("Markers", "pages/4_Markers.py"),
    "Markers": ("Perturbation", "pages/5_Perturbation.py"),
}
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


class PageEnds(BaseException):
    """Nothing more can be shown on this page; unlike ``st.stop``, the sidebar is still drawn."""


def page_head(title: str, question: str) -> None:
    """Show the title, the question that the page answers, and the way to the next page."""
    left, right = st.columns([4, 1.2], vertical_alignment="center")
    with left:
        st.title(title, anchor=False)
        st.markdown(question)
    following = _NEXT.get(title)
    if following is not None and dataset_in_use() is not None:
        name, path = following
        if right.button(
            f"Next: {name}", key="next", type="primary", width="stretch",
            icon=":material/arrow_forward:", icon_position="right",
        ):  # fmt: skip
            st.switch_page(path)


def chosen_dataset() -> Dataset:
    """Return the dataset of this session; or say that the page needs one, offer a demo, and end the page."""
    dataset = dataset_in_use()
    if dataset is None:
        _offer_dataset()
        raise PageEnds
    return dataset


def _offer_dataset() -> None:
    with st.container(border=True):
        st.markdown("**This page needs a dataset, and none is open yet.** Start with the demo, or add a file.")
        with st.container(horizontal=True):
            if st.button("Open the demo: PBMC 3k", type="primary", key="hint-demo"):
                with errors_as_text(), st.spinner("Opening the demo"):
                    open_demo_dataset(FIRST_DEMO)
                if dataset_in_use() is not None:
                    st.rerun()
            if st.button("Choose or add a dataset", key="hint-dataset"):
                st.switch_page("pages/1_Dataset.py")


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
        with st.container(border=True, gap="xsmall", key=f"thread-{job.id}"):
            _job_card(job)


def _job_card(job: Job[Any]) -> None:
    progress = job.progress
    st.markdown(f"**{_ASKED.get(type(job.request).__name__, type(job.request).__name__)}**")
    st.progress(min(progress.done / progress.total, 1.0) if progress.total else 0.0)
    st.caption(progress_line(progress))
    st.button("Stop", key=f"thread-stop-{job.id}", on_click=job.cancel, width="stretch")
