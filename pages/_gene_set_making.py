"""Gene sets of the workspace by name, and the form in which a new one is made."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from pages._gene_search import tell_missing
from pages._perturb_sets import choose_sets
from pages._state import workspace
from pages._waiting import show_error
from pages._words import counted, plain
from scfm_core.dataset import Dataset
from scfm_core.errors import RequestError, ScfmError
from scfm_core.gene_search import names_in, search_genes
from scfm_core.gene_sets import GeneSet, transcription_factors
from scfm_core.genes import known_genes, symbol_of
from scfm_core.kept_gene_sets import KeptGeneSets

TYPED, FROM_SETS, FACTORS = "Typed or pasted", "From many sets", "Transcription factors"
PICKED = "Picked on the volcano"
PICKED_GENES = "picked genes"  # session: ids of genes chosen on the volcano
JUST_KEPT = "gene-set-just-kept"  # session: the name of a set that is to be shown next


def kept_gene_sets() -> dict[str, GeneSet]:
    """Return the gene sets kept in this workspace by name, oldest first."""
    return gene_set_store().read()


def keep_gene_set(name: str, symbols: Sequence[str], description: str = "") -> GeneSet:
    """Keep a gene set; raises `RequestError` where another set has the name, or there is no name or no gene."""
    return gene_set_store().keep(GeneSet(name, description, tuple(symbols)))


def gene_set_store() -> KeptGeneSets:
    """Return the gene sets of the workspace."""
    return KeptGeneSets(workspace().folder("gene_sets"))


def new_gene_set(dataset: Dataset, key: str) -> None:
    """Let genes be listed from one of several sources, named and kept."""
    ways = [TYPED, FROM_SETS, FACTORS, *([PICKED] if st.session_state.get(PICKED_GENES) else [])]
    way = st.selectbox("Genes", ways, key=f"{key}:way", persist_state="session")
    proposed = _proposed(dataset, way, key)
    if proposed is None:
        return
    if way == TYPED:
        search = search_genes(dataset, proposed.genes)
        n_found = len(search.gene_ids)
        tell_missing(search)
        names = [*(gene.symbol for gene in search.found), *(gene.name for gene in search.missing)]
        proposed = replace(proposed, genes=tuple(dict.fromkeys(names)))
    else:
        n_found = len(set(known_genes(dataset, proposed.genes).values()))
    st.caption(f"{counted(n_found, 'gene')} of {counted(len(proposed.genes), 'name')} in this dataset.")
    stamp = hashlib.sha256(f"{way}{proposed.name}".encode()).hexdigest()[:8]
    name = st.text_input("Name", proposed.name, key=f"{key}:name:{stamp}", max_chars=80)
    if st.button("Keep it", key=f"{key}:keep", type="primary", disabled=not proposed.genes, width="stretch"):
        try:
            kept = keep_gene_set(name, proposed.genes, proposed.description)
        except ScfmError as error:
            show_error(error)
            return
        st.session_state[JUST_KEPT] = kept.name
        st.rerun()


def _proposed(dataset: Dataset, way: str, key: str) -> GeneSet | None:
    """Return the genes of a source with a name to start from; None, with a word where needed, while there are none."""
    if way == TYPED:
        text = st.text_area(
            "Symbols or Ensembl ids", key=f"{key}:typed", placeholder="CD79A, MS4A1, CD19",
            help="Between them a space, a comma or a new line. Other names (CD20) are found too.",
        )  # fmt: skip
        names = tuple(dict.fromkeys(names_in(text)))
        return GeneSet("", "typed or pasted", names) if names else None
    if way == PICKED:
        genes = tuple(symbol_of(dataset, gene_id) for gene_id in st.session_state[PICKED_GENES])
        return GeneSet("Picked genes", f"picked on the volcano of {dataset.title}", genes)
    if way == FACTORS:
        try:
            return transcription_factors(dataset.organism)
        except RequestError as error:
            st.caption(plain(error, longest=400))
            return None
    sets = choose_sets(dataset, key)
    if sets is None:
        return None
    named = {one.name: one for one in sets.sets}
    one = named[st.selectbox("Set", list(named), key=f"{key}:set")]
    return GeneSet(one.name, one.description or sets.source, one.genes)
