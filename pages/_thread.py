"""The thread in the sidebar through all pages: the dataset, its embeddings, the selection, the jobs."""

from typing import Any

import streamlit as st

from pages._models import embedded_models
from pages._state import clear_selection, dataset_in_use, selection
from pages._transfers import Transfer, transfer_line, transfers
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
    "CompareDonors": "Differences between donors",
    "SumPseudobulks": "Sums per donor",
    "SummariseGroups": "Means of groups",
    "SampleExpression": "Reading cells",
    "CoexpressGenes": "Two genes together",
    "MeasureQuality": "Quality control",
    "PerturbGenes": "Perturbation",
    "RunControls": "Controls",
    "CompareGroups": "Generic or specific",
    "ExplainByBaselines": "What baselines explain",
    "FollowGenes": "Other genes",
    "PerturbPairs": "Pairs of genes",
    "EnrichGenes": "Gene sets",
    "MarkerSets": "Marker sets",
    "PerturbAsAuthors": "Perturbation, as the authors",
    "ScreenGenes": "Screen",
    "ScreenExactly": "Screen, exactly",
    "ValidateOnSimulation": "Known truth, simulated",
    "ValidateOnCrispr": "Known truth, measured",
    "EmbedGenes": "Gene vectors",
    "ReadAttention": "Attention",
    "ReadExpression": "Reading genes",
    "ScoreEmbedding": "Scores of an embedding",
    "CompareModels": "Report card",
    "DescribeBatches": "Batches in the data",
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
    some = bool(running_jobs()) or bool(transfers().running())
    st.fragment(_jobs_panel, run_every=_POLL_SECONDS if some else None)(some)


def _jobs_panel(there_were_some: bool) -> None:
    jobs, on_the_way = running_jobs(), transfers().running()
    if there_were_some and not jobs and not on_the_way:
        st.rerun()
    for job in jobs:
        with errors_as_text(), st.container(border=True, gap="xsmall", key=f"thread-{job.id}"):
            _job_card(job)
    for transfer in on_the_way:
        with errors_as_text(), st.container(border=True, gap="xsmall", key=f"thread-{transfer.id}"):
            _transfer_card(transfer)


def _job_card(job: Job[Any]) -> None:
    progress = job.progress
    st.markdown(f"**{_ASKED.get(type(job.request).__name__, type(job.request).__name__)}**")
    st.progress(min(progress.done / progress.total, 1.0) if progress.total else 0.0)
    st.caption(progress_line(progress))
    st.button("Stop", key=f"thread-stop-{job.id}", on_click=job.cancel, width="stretch")


def _transfer_card(transfer: Transfer) -> None:
    st.markdown("**Weights**")
    st.progress(transfer.share)
    st.caption(transfer_line(transfer))
    if transfer.stoppable:
        st.button("Stop", key=f"thread-stop-{transfer.id}", on_click=transfer.stop, width="stretch")
