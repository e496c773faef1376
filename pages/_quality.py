"""Quality control on the page: the three covariates together, thresholds, and the cells that stay."""

from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from pages._columns import in_percent, percent_columns
from pages._methods import methods_and_code
from pages._show import TableFile, downloads, draw, provenance, say, two_lines
from pages._state import use_dataset
from pages._waiting import answer, errors_as_text
from pages._words import cells_of, count, file_stem, share
from scfm_core.analyses.measure_quality import (
    MAX_CELLS_FOR_DOUBLETS,
    MIN_CELLS_FOR_DOUBLETS,
    MeasureQuality,
    Thresholds,
    before_after,
    passing,
    suggest_thresholds,
)
from scfm_core.dataset import Dataset, subset_dataset
from scfm_core.plots.quality import quality_scatter, quality_violins

_COLUMNS = {
    "total_counts": "Counts per cell",
    "n_genes": "Genes per cell",
    "mitochondrial_share": "Mitochondrial share",
    "ribosomal_share": "Ribosomal share",
    "doublet_score": "Doublet score",
}


def quality_control(dataset: Dataset) -> None:
    """Show the quality of the cells, let thresholds be set, and make a new dataset of the cells that pass."""
    request = MeasureQuality(dataset)
    controls, picture = st.columns([1, 3], gap="medium")
    with picture:
        quality = answer(request)
    if quality is None:
        controls.caption("The sliders stand here when the cells are measured.")
        return
    table = quality.table
    with controls:
        thresholds = _thresholds(dataset, table)
        keep = np.asarray(passing(table, thresholds))
        _keep_button(dataset, thresholds, keep)
    with picture:
        _pictures(dataset, table, thresholds)
        summary = before_after(table, keep)
        st.markdown(f"**{cells_of(int(keep.sum()))} of {count(len(keep))} stay** ({share(float(keep.mean()))})")
        shown = in_percent(summary.rename(columns=lambda name: name.replace("_", " ").capitalize()))
        st.dataframe(shown, hide_index=True, column_config=percent_columns(shown))
        about = provenance(dataset, request, thresholds=str(asdict(thresholds)))
        whole = table.assign(passes=keep).rename_axis("cell")
        downloads(
            "qc-table",
            stem=file_stem(dataset.title, "quality"),
            tables=[
                TableFile(label="Per cell", table=lambda: whole.reset_index(), about=about),
                TableFile(label="Per sample", table=lambda: summary, about=about),
            ],
        )
        methods_and_code(dataset, [request], "quality")


def _thresholds(dataset: Dataset, table: pd.DataFrame) -> Thresholds:
    stem = f"qc:{dataset.sha256[:10]}"
    n_mads = st.slider(
        "Width of the limits (MADs)", 2.0, 8.0, 5.0, 0.5, format="%.1f", key=f"{stem}:mads", persist_state="session",
        help="MAD: the median distance from the median, a spread that outliers do not move. "
        "Cells further out than this many MADs are left out.",
    )  # fmt: skip
    suggested = suggest_thresholds(table, n_mads)
    stem = f"{stem}:{n_mads}"
    counts = _range("Counts per cell", table["total_counts"], (suggested.min_counts, suggested.max_counts), stem)
    genes = _range("Genes per cell", table["n_genes"], (suggested.min_genes, suggested.max_genes), stem)
    mitochondrial = st.slider(
        "Mitochondrial share, at most (%)", 0.0, 100.0, round(min(100 * suggested.max_mitochondrial_share, 100.0), 1),
        0.1, format="%.1f", key=f"{stem}:mito", persist_state="session",
        help="Counts from mitochondrial genes. A high share points to broken membranes and dying cells.",
    )  # fmt: skip
    chosen = replace(
        suggested,
        min_counts=counts[0],
        max_counts=counts[1],
        min_genes=genes[0],
        max_genes=genes[1],
        max_mitochondrial_share=mitochondrial / 100,
    )
    with st.expander("More"):
        return replace(chosen, max_doublet_score=_doublets(table, suggested, stem))


def _doublets(table: pd.DataFrame, suggested: Thresholds, stem: str) -> float:
    if not table["doublet_score"].notna().any():
        st.caption(
            f"No sample has a doublet score: it takes {MIN_CELLS_FOR_DOUBLETS} to {count(MAX_CELLS_FOR_DOUBLETS)} "
            "cells of one sample. Samples are told apart by donor, else by batch."
        )
        return suggested.max_doublet_score
    return st.slider(
        "Doublet score, at most", 0.0, 1.0, float(np.clip(round(suggested.max_doublet_score, 2), 0.0, 1.0)), 0.01,
        key=f"{stem}:doublet", persist_state="session",
        help="By scrublet, sample by sample: how much a cell looks like two cells in one droplet.",
    )  # fmt: skip


def _range(label: str, values: pd.Series, suggested: tuple[float, float], stem: str) -> tuple[float, float]:
    """Let a lower and an upper limit be set; outside the data a limit bites nothing."""
    low, high = int(np.floor(values.min())), int(np.ceil(values.max()))
    if low >= high:
        return suggested
    start = (int(np.clip(np.floor(suggested[0]), low, high)), int(np.clip(np.ceil(suggested[1]), low, high)))
    chosen = st.slider(label, low, high, start, key=f"{stem}:{label}", persist_state="session")
    return float(chosen[0]), float(chosen[1])


def _pictures(dataset: Dataset, table: pd.DataFrame, thresholds: Thresholds) -> None:
    stem = file_stem(dataset.title, "quality")
    together, each = st.tabs(["Together", "One by one, per sample"])
    with together:
        figure = quality_scatter(table, thresholds)
        draw(figure, "qc-scatter")
        say(figure)
        downloads("qc-scatter", stem=f"{stem}-scatter", figure=figure)
    with each:
        known = [name for name in _COLUMNS if table[name].notna().any()]
        column = st.segmented_control(
            "Measure", known, default=known[0], required=True, format_func=_COLUMNS.__getitem__, key="qc-measure"
        )
        figure = quality_violins(table, column, thresholds)
        draw(figure, "qc-violins")
        say(figure)
        downloads("qc-violins", stem=f"{stem}-{column}", figure=figure)


def _keep_button(dataset: Dataset, thresholds: Thresholds, keep: NDArray[np.bool_]) -> None:
    n_kept = int(keep.sum())
    if n_kept == len(keep):
        st.caption("All cells pass; there is nothing to leave out.")
        return
    if st.button(f"Keep these {count(n_kept)} cells", key="keep", width="stretch", disabled=n_kept == 0):
        with errors_as_text(), st.spinner("Writing the new dataset"):
            limits = ", ".join(f"{field.name} {getattr(thresholds, field.name):.4g}" for field in fields(thresholds))
            kept = subset_dataset(
                dataset,
                keep,
                title=f"{dataset.title}, {count(n_kept)} cells",
                note=f"Quality control kept {n_kept:,} of {len(keep):,} cells: {limits}.",
            )
            use_dataset(kept)
            st.switch_page("pages/2_Embedding.py")
    st.caption("This makes a new dataset and goes on. The one you see stays as it is.")


def quality_lines() -> None:
    """Say what quality control shows and what it does not prove."""
    two_lines(
        "Each cell's counts, genes and mitochondrial share, and the limits beyond which a cell stands out.",
        "That a cell beyond a limit is dead or a doublet: large and resting cells stand out too. "
        "Look at the three measures together and per sample.",
    )
