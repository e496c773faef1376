"""What the markers of a group have in common: gene sets, with the genes tested for that group as universe."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from pages._enrichment import show_enriched
from pages._markers_asking import Asked
from pages._perturb_sets import choose_sets
from pages._waiting import answer, errors_as_text
from pages._words import count, counted
from scfm_core.analyses.choose_markers import Cutoffs, choose_markers
from scfm_core.analyses.enrich_genes import EnrichGenes


def show_enrichment(asked: Asked, table: pd.DataFrame, cutoffs: Cutoffs) -> None:
    """Test gene sets among the genes of a group that pass the cut-offs; the number per group does not cut them."""
    key = f"markers:{asked.dataset.sha256[:10]}:enrich"
    if not st.toggle(
        "Test gene sets among these markers", False, key=f"{key}:on", persist_state="session",
        help="From a file of your own, from the network, or the markers of this dataset.",
    ):  # fmt: skip
        return
    st.subheader("What do these genes have in common?", anchor=False)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        group = st.selectbox("Group", list(dict.fromkeys(table["group"])), key=f"{asked.key}:enrich-group")
        sets = choose_sets(asked.dataset, key)
    tested = table[table["group"] == group]
    hits = choose_markers(tested, replace(cutoffs, n_per_group=None))
    with left:
        st.caption(
            f"{counted(len(hits), 'gene')} of {count(len(tested))} tested pass the cut-offs ({cutoffs.direction}), and "
            "count as hits; the tested ones are the universe."
        )
    with right, errors_as_text():
        if sets is None:
            return
        if hits.empty:
            st.info("No gene of this group passes the cut-offs. Loosen them.")
            return
        request = EnrichGenes(tuple(hits["symbol"]), tuple(tested["symbol"]), sets)
        found = answer(request, place="marker-enrichment")
        if found is not None:
            status = {"status": "exploratory: cells are not replicates"} if asked.exploratory else {}
            show_enriched(asked.dataset, request, found, key, group=str(group), hits=cutoffs.words, **status)
