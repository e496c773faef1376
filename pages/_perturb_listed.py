"""Lets be chosen which genes a screen is about: all, a list, a gene set, or the transcription factors."""

import streamlit as st

from pages._gene_search import tell_missing
from pages._perturb_sets import choose_file
from pages._words import counted, plain
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError
from scfm_core.gene_search import names_in, search_genes
from scfm_core.gene_sets import transcription_factors

ALL_HELD, LIST, GENE_SET, FACTORS = "All that the cells hold", "A list", "A gene set", "Transcription factors"
_NONE_YET: tuple[str, ...] = ()


def choose_listed(dataset: Dataset, key: str) -> tuple[str, ...] | None:
    """Let genes be listed; returns their gene ids, None for all, an empty tuple while nothing is listed."""
    way = st.selectbox(
        "Which genes", [ALL_HELD, LIST, GENE_SET, FACTORS], key=f"{key}:which", persist_state="session",
        help="Genes that no chosen cell holds are left out.",
    )  # fmt: skip
    if way == ALL_HELD:
        return None
    names = _names(dataset, way, key)
    if not names:
        return _NONE_YET
    search = search_genes(dataset, names)
    st.caption(f"{counted(len(search.gene_ids), 'gene')} of the {counted(len(names), 'name')} in this dataset.")
    if way == LIST:
        tell_missing(search)
    return search.gene_ids


def _names(dataset: Dataset, way: str, key: str) -> list[str]:
    if way == LIST:
        text = st.text_area(
            "Symbols or Ensembl ids", key=f"{key}:list", persist_state="session", placeholder="CD79A, LYZ, NKG7",
            help="Between them a space, a comma or a new line.",
        )  # fmt: skip
        return names_in(text)
    if way == FACTORS:
        try:
            factors = transcription_factors(dataset.organism)
        except RequestError as error:
            st.caption(plain(error, longest=400))
            return []
        st.caption(plain(factors.description, longest=400))
        return list(factors.genes)
    sets = choose_file(key)
    if sets is None:
        return []
    named = {one.name: one for one in sets.sets}
    chosen = st.selectbox("Set", list(named), key=f"{key}:set")
    return list(named[chosen].genes)
