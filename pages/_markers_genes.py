"""Which genes the figures show: those found, those picked on the volcano, or those that a person names; in pages."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages._gene_search import search_genes
from pages._gene_set_making import PICKED_GENES
from pages._words import count
from scfm_core.dataset import Dataset

FOUND, PICKED, NAMED = "Found", "Picked", "Named"
SOURCES = {FOUND: "Found, by the cut-offs", PICKED: "Picked on the volcano", NAMED: "Named by me"}
FIGURE_FIELD = "marker-figure"  # the key of the choice of figure
MOST_NAMED = 200


def choose_source(dataset: Dataset, key: str) -> tuple[str, tuple[str, ...]]:
    """Let the source of the figures' genes be chosen; return it, and the genes where it is not the markers found."""
    source = st.selectbox(
        "Genes in the figures", list(SOURCES), format_func=SOURCES.__getitem__, key=source_field(dataset),
        persist_state="session", help="The table and its files always hold the genes found.",
    )  # fmt: skip
    if source == PICKED:
        genes = picked_genes(dataset)
        if not genes:
            st.caption("No gene is picked. Click genes on the volcano, or draw around them.")
        return source, genes
    if source == NAMED:
        return source, search_genes(dataset, f"{key}:named", "Genes", most=MOST_NAMED, n_first=3)
    return source, ()


def source_field(dataset: Dataset) -> str:
    """Return the key of the choice of the figures' genes."""
    return f"markers:{dataset.sha256[:10]}:source"


def picked_genes(dataset: Dataset) -> tuple[str, ...]:
    """Return the genes picked on a volcano, of those that the dataset has."""
    known = set(dataset.gene_ids)
    return tuple(gene for gene in st.session_state.get(PICKED_GENES, ()) if gene in known)


def spread_over_groups(shown: pd.DataFrame) -> tuple[str, ...]:
    """Return each gene once: the strongest of every group first, then the second ones, and so on."""
    rank = shown.groupby("group", sort=False).cumcount()
    return tuple(dict.fromkeys(shown.loc[rank.sort_values(kind="stable").index, "gene_id"]))


def turn_pages(genes: Sequence[str], most: int, key: str) -> tuple[str, ...]:
    """Return the genes of one page of at most ``most``, and let pages be turned where there are several."""
    n_pages = -(-len(genes) // most)
    if n_pages <= 1:
        return tuple(genes)
    page = int(st.number_input("Page", 1, n_pages, 1, key=f"{key}:page:{len(genes)}:{most}", width=120))
    first, last = (page - 1) * most, min(page * most, len(genes))
    st.caption(
        f"Genes {count(first + 1)} to {count(last)} of {count(len(genes))}, {most} to a figure. The table and its "
        "files hold all."
    )
    return tuple(genes[first:last])


def in_order_of_groups(genes: Sequence[str], shown: pd.DataFrame) -> tuple[str, ...]:
    """Return genes sorted by the group that they were found in, so that a figure reads as a diagonal."""
    place = {gene: number for number, gene in enumerate(dict.fromkeys(shown["gene_id"]))}
    return tuple(sorted(genes, key=lambda gene: place.get(gene, len(place))))
