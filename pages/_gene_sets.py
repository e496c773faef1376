"""Sets of genes: kept by name, chosen, scored in every cell, and shown by group."""

import pandas as pd
import streamlit as st

from pages._gene_set_making import JUST_KEPT, PICKED_GENES, gene_set_store, keep_gene_set, kept_gene_sets, new_gene_set
from pages._gene_set_scores import score_colour, score_request, show_scores
from pages._waiting import errors_as_text
from pages._words import count, counted, plain
from scfm_core.dataset import Dataset
from scfm_core.gene_sets import GeneSet
from scfm_core.genes import known_genes

_MOST_LISTED = 40


def choose_gene_set(dataset: Dataset, key: str) -> GeneSet | None:
    """Let one of the kept gene sets be chosen, or a new one made; None while there is none."""
    sets = kept_gene_sets()
    chosen = None
    if sets:
        chosen = st.selectbox("Gene set", list(sets), key=_field(sets, f"{key}:gene-set"), persist_state="session")
    else:
        st.caption("No gene set is kept yet.")
    with st.popover("New gene set", icon=":material/add:", width="stretch"):
        new_gene_set(dataset, f"{key}:new")
    return sets.get(str(chosen))


def gene_sets_panel(dataset: Dataset) -> None:
    """Let gene sets be made, listed and deleted, and show the scores of one by group."""
    key = f"gene-sets:{dataset.sha256[:10]}"
    left, right = st.columns([1, 2.6], gap="medium")
    with left, errors_as_text():
        st.markdown("**A new gene set**")
        new_gene_set(dataset, f"{key}:make")
    with right, errors_as_text():
        sets = kept_gene_sets()
        if not sets:
            st.caption(
                "A gene set is a named list of genes: type it, take it from a file, or from the markers of this "
                "dataset. It is scored in every cell and colours the maps. Sets are kept in this workspace, for "
                "everyone who uses it."
            )
            return
        chosen = _list(dataset, sets, key)
        if chosen is not None:
            show_scores(dataset, chosen, key)


def _list(dataset: Dataset, sets: dict[str, GeneSet], key: str) -> GeneSet | None:
    """List the kept sets; return the one that is chosen."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    chosen = left.selectbox("Kept gene sets", list(sets), key=_field(sets, f"{key}:chosen"), persist_state="session")
    right.button(
        "Delete it", key=f"{key}:drop", icon=":material/delete:", width="stretch", on_click=gene_set_store().drop,
        args=(chosen,), help="For everyone who uses this workspace. Answers that were computed with it stay.",
    )  # fmt: skip
    one = sets[chosen]
    found = known_genes(dataset, one.genes)
    missing = [name for name in one.genes if name not in found]
    words = f"{counted(len(set(found.values())), 'gene')} of {counted(len(one.genes), 'name')} in this dataset"
    lost = f"; not here: {plain(', '.join(missing[:_MOST_LISTED]), longest=500)}" if missing else ""
    more = f" and {count(len(missing) - _MOST_LISTED)} more" if len(missing) > _MOST_LISTED else ""
    about = f" From: {plain(one.description.rstrip('.'), longest=300)}." if one.description else ""
    st.caption(f"{words}{lost}{more}.{about}")
    with st.expander(f"All that are kept ({count(len(sets))})"):
        rows = [{"Name": s.name, "Genes": len(s.genes), "First genes": ", ".join(s.genes[:8]), "From": s.description}
                for s in sets.values()]  # fmt: skip
        st.dataframe(pd.DataFrame(rows), hide_index=True)
    return one


def _field(sets: dict[str, GeneSet], field: str) -> str:
    """Return the key of a field with a kept set, after it was put on one that is there: the one just kept."""
    just_kept = st.session_state.pop(JUST_KEPT, None)
    if just_kept in sets:
        st.session_state[field] = just_kept
    if st.session_state.get(field) not in (None, *sets):
        del st.session_state[field]
    return field


__all__ = [
    "PICKED_GENES", "choose_gene_set", "gene_sets_panel", "keep_gene_set", "kept_gene_sets", "score_colour",
    "score_request",
]  # fmt: skip
