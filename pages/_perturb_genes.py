"""Lets genes be chosen by symbol or from a pasted list; knows no question."""

import re
from collections.abc import Sequence

import streamlit as st

from pages._views import gene_of_symbol
from pages._words import counted, plain
from scfm_core.dataset import Dataset
from scfm_core.genes import gene_table, without_version

FIRST_GENES = ("LYZ", "CD3D", "MS4A1", "Lyz2", "Cd3d", "ACTB", "Actb")
MOST_GENES = 25
_BETWEEN = re.compile(r"[\s,;]+")


def choose_genes(
    dataset: Dataset, key: str, label: str, hint: str, *, most: int = MOST_GENES, n_first: int = 1
) -> list[str]:
    """Let genes be chosen by symbol, or pasted; returns their gene ids. Well-known ones stand there at the start."""
    genes, field = gene_of_symbol(dataset), f"{key}:genes"
    start = [name for name in FIRST_GENES if name in genes][:n_first]
    if field in st.session_state:
        start = []
    chosen = st.multiselect(
        label, list(genes), default=start, max_selections=most, key=field, filter_mode="prefix",
        persist_state="session", select_all=False, wrap=True, placeholder="Type a symbol", help=hint,
    )  # fmt: skip
    _offer_pasting(dataset, key, most)
    return [genes[name] for name in chosen]


def read_names(dataset: Dataset, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the gene ids of names that a person or a file gives, each once, and the names that are not known here."""
    known = {symbol.upper(): gene_id for symbol, gene_id in gene_of_symbol(dataset).items()}
    known.update({gene_id.upper(): gene_id for gene_id in dataset.gene_ids})
    table, here = gene_table(dataset.organism), set(dataset.gene_ids)
    found: dict[str, None] = {}
    missing = []
    for name in names:
        key = without_version(name).upper()
        gene_id = known.get(key) or table.ids.get(key, "")
        if gene_id in here:
            found[gene_id] = None
        else:
            missing.append(name)
    return list(found), missing


def names_in(text: str) -> list[str]:
    r"""Return the names of a pasted list, whatever stands between them.

    Examples
    --------
    >>> names_in("CD3D, LYZ;MS4A1\n NKG7")
    ['CD3D', 'LYZ', 'MS4A1', 'NKG7']
    """
    return [name for name in _BETWEEN.split(text.strip()) if name]


def put_genes(dataset: Dataset, key: str, gene_ids: Sequence[str]) -> None:
    """Write genes into the field of `choose_genes`, before the page is run again."""
    symbols = {gene_id: symbol for symbol, gene_id in gene_of_symbol(dataset).items()}
    st.session_state[f"{key}:genes"] = [symbols[gene_id] for gene_id in gene_ids if gene_id in symbols]


def _offer_pasting(dataset: Dataset, key: str, most: int) -> None:
    with st.popover("Paste a list", width="stretch"):
        text = st.text_area(
            "Symbols or Ensembl ids", key=f"{key}:pasted", placeholder="CD79A, LYZ, NKG7",
            help="Between them a space, a comma or a new line.",
        )  # fmt: skip
        found, missing = read_names(dataset, names_in(text))
        if missing:
            st.caption(f"Not in this dataset: {plain(', '.join(missing[:20]), longest=400)}.")
        if len(found) > most:
            st.caption(f"The list holds {counted(len(found), 'gene')}; the first {most} are taken.")
        st.button(
            f"Take {counted(min(len(found), most), 'gene')}", key=f"{key}:take", disabled=not found,
            on_click=put_genes, args=(dataset, key, found[:most]),
        )  # fmt: skip
